# SPDX-License-Identifier: Apache-2.0
"""The site of the documentation: what is copied for its generator, what it must not fetch, and what its index leads to.

`make docs` builds it, with every warning as an error. It needs an environment of its own, so CI runs it beside the tests.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from nervenet import CallOptions, RetryPolicy
from nervenet.errors import NervenetError
from tests.support.environment import ROOT

sys.path.insert(0, str(ROOT / "tools/site"))
from outside import fetched
from stage import stage

INDEX = ROOT / "docs/index.md"
_LINK = re.compile(r"\]\((?!https?://)([^)\s#]+)")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for name, text in {
        "docs/index.md": "# Index\n\n## Start\n\n- [One](one.md): the first\n- [Why](decisions)\n- [Read me](../README.md)\n",
        "docs/one.md": "# One\n\n[read](../README.md#top) [program](../src/a.py) ![p](p.svg) [folder](../src)\n\n"
        "```md\n[not a link](../gone.md)\n```\n",
        "docs/p.svg": "<svg/>",
        "docs/decisions/0001-why.md": "# 0001: Why\n",
        "README.md": "# Top\n\n[docs](docs/one.md)\n",
        "src/a.py": 'TEXT = """\n```\n"""\n',
        "unnamed.md": "# Nobody links to this\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_pages_are_copied_with_links_that_are_right_in_the_site(repository: Path, tmp_path: Path) -> None:
    places = {str(place) for place in stage(repository, tmp_path / "pages")}
    assert places == {
        "index.md", "one.md", "decisions/0001-why.md", "decisions/index.md", "project/README.md", "source/src/a.py.md",
        "source/src/index.md",
    }  # fmt: skip
    one = (tmp_path / "pages/one.md").read_text()
    assert (
        "[read](project/README.md#top) [program](source/src/a.py.md) ![p](p.svg) [folder](source/src/index.md)" in one
    )
    assert "[not a link](../gone.md)" in one, "code keeps what it has"
    assert "[docs](../one.md)" in (tmp_path / "pages/project/README.md").read_text()
    assert (tmp_path / "pages/p.svg").exists()
    assert "````python\nTEXT" in (tmp_path / "pages/source/src/a.py.md").read_text(), (
        "its fence is longer than those inside"
    )


def test_the_lists_of_the_index_are_the_navigation(repository: Path, tmp_path: Path) -> None:
    stage(repository, tmp_path / "pages")
    index = (tmp_path / "pages/index.md").read_text()
    assert ":caption: Start\n\nOne </one>\nWhy </decisions/index>\nRead me </project/README>\n" in index
    assert "[0001: Why](0001-why.md)" in (tmp_path / "pages/decisions/index.md").read_text()


@pytest.mark.parametrize(
    ("name", "text", "addresses"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/f.css"><img src="p.png">', ["//fonts.example/f.css"]),
        ("a.html", '<a href="https://example.org">read</a><link rel="canonical" href="https://example.org/">', []),
        ("a.css", '@import "https://x.example/a.css"; b { background: url(data:image/svg+xml;base64,AA) }', ["https://x.example/a.css"]),
        ("a.css", "@font-face { src: url('https://x.example/f.woff2') }", ["https://x.example/f.woff2"]),
    ],
)  # fmt: skip
def test_what_a_page_would_fetch_from_another_host_is_found(
    tmp_path: Path, name: str, text: str, addresses: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert [address for _, address in fetched(tmp_path)] == addresses


def one_click() -> list[Path]:
    """The index, and the pages that it links to."""
    links = [(INDEX.parent / link).resolve() for link in _LINK.findall(INDEX.read_text(encoding="utf-8"))]
    return [INDEX, *(page for page in links if page.suffix == ".md")]


def test_each_page_is_in_a_list_of_the_index() -> None:
    pages = {page for page in (ROOT / "docs").rglob("*.md") if "decisions" not in page.parts}
    assert pages - set(one_click()) == set()


@pytest.mark.parametrize(
    "sought",
    [
        *(f"### {name}\n" for name in ("Mesh", "Context", "Client", "WorkflowHandle", CallOptions.__name__, RetryPolicy.__name__)),
        "- environment: `NERVENET_RETENTION`",
        "`QUEUE_FULL`",
        f"### {NervenetError.__name__}\n",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "scrape_configs",
        "nervenet replay app.py --running",
        "appendonlydir",
        "nervenet_queue_oldest_age_seconds",
        "NervenetWorkflowBlocked",
    ],
)  # fmt: skip
def test_what_people_look_for_is_one_click_from_the_index(sought: str) -> None:
    assert any(sought in page.read_text(encoding="utf-8") for page in one_click()[1:])
