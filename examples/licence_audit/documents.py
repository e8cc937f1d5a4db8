# SPDX-License-Identifier: Apache-2.0
"""Find every installed distribution, what it declares and the licence texts it ships, always in the same order.

A payload has a limit, and an audit must not fail on a package that ships fifty vendored licences: texts are cut, files
beyond the budget left out, and both are recorded in what is returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.message import Message
from importlib.metadata import Distribution as Installed
from importlib.metadata import PackagePath, distributions
from pathlib import Path, PurePosixPath
from typing import cast

from .models import Declared, Distribution, Kind, LicenceFile

TEXT_LIMIT = 64_000
TOTAL_LIMIT = 240_000
"""Characters; a quarter of the default payload limit, so that even four-byte characters fit."""
WORDING_LIMIT = 200
"""Characters; no name of a licence is longer."""

_LICENCE = re.compile(r"(?i)^(.*[-_.])?(un)?licen[cs]e|^copying")
_NOTICE = re.compile(r"(?i)^(notice|authors|copyright|patents)")
_NO_TEXT = {".py", ".pyc", ".pyi", ".so", ".json", ".html", ".js", ".h", ".about"}
_CLASSIFIER = "License :: "


def installed() -> list[Distribution]:
    """Every distribution of this environment, by name; of two with one name the one that an import would find."""
    first: dict[str, Installed] = {}
    for found in distributions():
        if name := found.metadata["Name"]:
            first.setdefault(canonical(name), found)
    return [read(first[name]) for name in sorted(first)]


def canonical(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(found: Installed) -> Distribution:
    meta = cast(Message, found.metadata)  # the standard library's own promise is narrower than what it gives
    classifiers = [c.removeprefix(_CLASSIFIER) for c in meta.get_all("Classifier") or [] if c.startswith(_CLASSIFIER)]
    licence = "\n".join(line.strip() for line in (meta.get("License") or "").splitlines())
    texts = list(_texts(found))
    if len(licence) > WORDING_LIMIT:  # not the name of a licence, but its text
        texts.insert(0, LicenceFile(path="METADATA", text=licence))
        licence = ""
    files, omitted = _bounded(texts)
    return Distribution(
        name=meta["Name"],
        version=found.version,
        declared=Declared(
            expression=meta.get("License-Expression") or "",
            licence=" ".join(licence.split()),
            classifiers=sorted(set(classifiers)),
        ),
        files=files,
        omitted=omitted,
    )


def kind_of(path: PurePosixPath) -> Kind | None:
    """What a file is by its path inside the distribution; None when it is no matter of licences."""
    if path.suffix.lower() in _NO_TEXT:
        return None
    if _NOTICE.match(path.name):
        return "notice"
    if _LICENCE.match(path.name):
        return "licence"
    return "enclosed" if "licenses" in path.parts[:-1] else None


def _texts(found: Installed) -> Iterator[LicenceFile]:
    seen = set()
    for path in sorted(found.files or [], key=_place):
        kind = kind_of(path)
        if kind and (text := _read(found, path)) and text not in seen:
            seen.add(text)
            yield LicenceFile(path=str(path), text=text, kind=kind)


def _place(path: PackagePath) -> tuple[bool, int, str]:
    """The distribution's own texts before those of what it vendors."""
    return ".dist-info" not in str(path), len(path.parts), str(path)


def _read(found: Installed, path: PackagePath) -> str:
    try:
        return Path(str(found.locate_file(path))).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""  # listed in RECORD, but not there


def _bounded(files: Iterable[LicenceFile]) -> tuple[list[LicenceFile], int]:
    kept: list[LicenceFile] = []
    room, omitted = TOTAL_LIMIT, 0
    for file in files:
        limit = min(TEXT_LIMIT, room)
        if limit < 500:
            omitted += 1
            continue
        size, text = len(file.text), file.text[:limit]
        room -= len(text)
        kept.append(file.model_copy(update={"text": text, "size": size, "truncated": size > len(text)}))
    return kept, omitted
