# SPDX-License-Identifier: Apache-2.0
"""Each row of the table "What is checked" in docs/security.md names a test, a command or a folder that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environment import ROOT

TARGETS = frozenset(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
_NAMED = re.compile(
    r"make (?P<target>[a-z-]+)|(?P<path>(?:tests|examples)/[\w/.-]+|test_\w+\.py|…)?::(?P<test>\w+)|(?P<file>(?:tests|examples)/[\w/.-]+|test_\w+\.py)"
)


def rows() -> list[tuple[str, str]]:
    """What is shown, and by what."""
    table = (ROOT / "docs" / "security.md").read_text().partition("## What is checked")[2]
    cells = [line.strip("| \n").rsplit(" | ", 1) for line in table.splitlines() if line.startswith("| ")]
    return [(what, test) for what, test in cells if what not in ("what", "---")]


def missing(test: str) -> Iterator[str]:
    """What a cell names and is not there. A file without its folder is in the folder of a file of the table; "…" is the file before."""
    last = Path()
    count = 0
    for found in _NAMED.finditer(test):
        count += 1
        if target := found["target"]:
            if target not in TARGETS:
                yield f"make {target}"
            continue
        path = found["path"] or found["file"]
        if path and path != "…":
            places = [ROOT / path] if "/" in path else sorted((ROOT / "tests").rglob(path))
            last = next((place for place in places if place.exists()), Path())
            if last == Path():
                yield path
        name = found["test"]
        if name and last.is_file() and not re.search(rf"def {name}\b", last.read_text()):
            yield f"{path}::{name}"
    if not count:
        yield f"a test in {test!r}"


def test_the_table_has_rows() -> None:
    assert len(rows()) > 60


@pytest.mark.parametrize(("what", "test"), rows(), ids=[what[:60] for what, _ in rows()])
def test_what_a_row_names_is_there(what: str, test: str) -> None:
    assert list(missing(test)) == [], what


def test_what_is_not_there_is_found() -> None:
    assert list(missing("tests/docs/test_nothing.py")) == ["tests/docs/test_nothing.py"]
    assert list(missing("`tests/docs/test_docs.py::test_nothing`")) == ["tests/docs/test_docs.py::test_nothing"]
    assert list(missing("`make nothing`")) == ["make nothing"]
    assert list(missing("by hand")) == ["a test in 'by hand'"]
