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

_APACHE = re.compile(r"Apache License\s+Version 2\.0, January 2004")
_APACHE_APPENDIX = """
END OF TERMS AND CONDITIONS

APPENDIX: How to apply the Apache License to your work.

To apply the Apache License to your work, attach the following boilerplate notice, with the fields enclosed by brackets
"[]" replaced with your own identifying information. (Don't include the brackets!) The text should be enclosed in the
appropriate comment syntax for the file format. We also recommend that a file or class name and description of purpose be
included on the same "printed page" as the copyright notice for easier identification within third-party archives.

Copyright [yyyy] [name of copyright owner]

Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with the
License. You may obtain a copy of the License at

http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software distributed under the License is distributed on an
"AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for the specific
language governing permissions and limitations under the License.
"""


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
    licence = askalono.identify(_with_appendix(text))
    return licence.name, licence.score


def _with_appendix(text: str) -> str:
    """An Apache licence with the appendix that SPDX's text has and many projects leave out.

    Without it the text is more similar to Pixar's licence, which is the Apache licence with other words in two places and
    no appendix. Pixar's says in its heading that it is modified.
    """
    if _APACHE.search(text) and not re.search(r"(?i)modified apache|how to apply the apache license", text):
        return text.partition("END OF TERMS AND CONDITIONS")[0] + _APACHE_APPENDIX
    return text


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
