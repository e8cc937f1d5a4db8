# SPDX-License-Identifier: Apache-2.0
"""Which licences these texts really are, by similarity to the SPDX collection (askalono's, which carries the texts).

A file often holds several licences, and their mixture resembles none of them. So a text that is not recognised as a
whole is taken apart at its rulers (`-----`, `====`, `\"\"\"`), and believed as parts if these explain more of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import askalono  # type: ignore[import-untyped]  # a compiled module without stubs

from .models import Classification, Distribution, FileMatch, LicenceFile

SURE = 0.9
"""A whole text at least this similar is that licence."""
LIKELY = 0.8
"""The same for a part; a classification below it is a human's business."""
SHORTEST = 300
"""Characters; no licence text is shorter, so such a file only points to one."""

_RULER = re.compile(r"^[^\w\n]*?([-=*#\"~_])(?: ?\1){2,}[^\w\n]*$", re.MULTILINE)

_PYTHON = "Python-2.0.1"
_PYTHON_PARTS = {"PSF-2.0", "CNRI-Python-GPL-Compatible", "SMLNJ"}
"""Licences that Python's own licence consists of, beside one that SPDX does not list alone."""

_VARIANTS = {"Pixar": ("Apache-2.0", re.compile(r"(?i)modified apache|pixar"))}
"""Licences that are another one with changes: what it is instead, unless the text says that it is changed.

Pixar's has the terms of the Apache licence with other words in two places, and not its appendix. Many projects leave out
the appendix too, and what they ship then resembles Pixar's more than the whole Apache licence."""


def classify(distribution: Distribution) -> Classification:
    """Every licence file on its own, then all together: as sure as the least sure of them."""
    files = [match(file) for file in distribution.files if file.kind != "notice"]
    known = [file for file in files if file.found]
    found = sorted({spdx for file in known for spdx in file.found})
    return Classification(
        found=" AND ".join(found),
        confidence=min((file.confidence for file in known), default=0.0),
        files=files,
    )


def match(file: LicenceFile) -> FileMatch:
    if len(file.text) < SHORTEST:
        return FileMatch(path=file.path, found=[], confidence=0.0)
    whole, score = identify(file.text)
    found = [whole]
    if score < SURE:
        parts, explained = _by_parts(file.text)
        if whole == _PYTHON and score >= LIKELY and set(parts) > _PYTHON_PARTS:
            found = sorted({_PYTHON, *parts} - _PYTHON_PARTS)
        elif parts and explained > score:
            found, score = parts, explained
    if file.kind == "enclosed" and score < LIKELY:
        return FileMatch(path=file.path, found=[], confidence=0.0)
    return FileMatch(path=file.path, found=found, confidence=round(score, 3))


@functools.lru_cache(maxsize=1024)
def identify(text: str) -> tuple[str, float]:
    """The most similar SPDX licence and the similarity (0…1, Dice's coefficient of word pairs).

    A sixth of a second of CPU; remembered, since half of all packages ship one of a few texts to the letter.
    """
    licence = askalono.identify(text)
    original, changed = _VARIANTS.get(licence.name, ("", None))
    name = original if changed and not changed.search(text) else licence.name
    return name, licence.score


def _by_parts(text: str) -> tuple[list[str], float]:
    """The licences of the parts, and how much of the text they explain."""
    found, explained, total = set(), 0.0, 0
    for size, name, score in _identified([part for part in _parts(text) if len(part) >= SHORTEST]):
        total += size
        if score >= LIKELY:
            found.add(name)
            explained += score * size
    return sorted(found), explained / total if total else 0.0


def _parts(text: str) -> Iterator[str]:
    start = 0
    for ruler in _RULER.finditer(text):
        yield text[start : ruler.start()].strip()
        start = ruler.end()
    yield text[start:].strip()


def _identified(parts: list[str]) -> Iterator[tuple[int, str, float]]:
    """Length, licence and similarity of each part; neighbours that are none alone are tried as one, for some licences
    (MPL) draw rulers between their own sections."""
    unknown: list[str] = []
    for part in parts:
        name, score = identify(part)
        if score < LIKELY:
            unknown.append(part)
            continue
        yield from _together(unknown)
        unknown = []
        yield len(part), name, score
    yield from _together(unknown)


def _together(parts: list[str]) -> Iterator[tuple[int, str, float]]:
    if parts:
        text = "\n".join(parts)
        yield len(text), *identify(text)
