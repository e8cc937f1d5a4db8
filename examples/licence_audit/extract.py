# SPDX-License-Identifier: Apache-2.0
"""What the texts say: who holds the copyright since when, and what is permitted, required and forbidden.

Rules, not understanding: each clause is found by the words lawyers use for it, and carries the sentence it was found in,
so that a reader can judge the finding instead of trusting it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .models import Clause, Distribution, Facts, Holder

_YEARS = r"(?:\d{4}|present)(?:\s*(?:[-–,]|to)\s*(?:\d{2,4}|present))*"
_COPYRIGHT = re.compile(
    rf"^\W*(?:portions\s+)?copyright\s*(?P<mark>\(c\)|©|&copy;)?\s*(?P<years>{_YEARS})?[,:]?\s*(?:\(c\)|©)?\s*(?:by\s+)?"
    rf"(?P<holder>[^\n]{{2,160}})",
    re.IGNORECASE | re.MULTILINE,
)
_BOILERPLATE = re.compile(r"(?i)^(\[|<|\{|owner|holder|notice|statement|interest|disclaimer|and |or |in |of |to |for )")
_ADDRESS = re.compile(r"(?i)<[^>]*>|https?://\S+|\(see .*|copyright\s*(\(c\)|©)?")
_TAIL = re.compile(rf"(?i)[\s,;:]+all rights reserved\W*$|\s+\([^)]*\)\W*$|\s+(?P<years>{_YEARS})\W*$")

_RULES: dict[str, dict[str, str]] = {
    "permits": {
        "use": r"permission[^.]{0,200}\bto (use|deal)\b|redistribution and use|license to (use|reproduce)|\bto use, copy",
        "copying and distribution": r"\b(copy|reproduce)\b[^.]{0,80}\bdistribut|redistribution and use|publish, distribute",
        "modification": r"\bmodify\b|with or without\s+modification|prepare derivative works|modified versions",
        "sublicensing": r"\bsublicense\b",
        "selling": r"\bsell\b copies|\bsell\b[^.]{0,40}\b(work|contribution)|sell, offer",
        "use of patents": r"patent license",
    },
    "requires": {
        "keeping the copyright notice": r"(above|this|the) copyright\s+notice[^.]{0,160}\b(must|shall|retain|appear|includ|reproduce)|"
        r"\bretain\b[^.]{0,80}copyright",
        "passing on the licence text": r"permission\s+notice (shall|appear)|this\s+list\s+of\s+conditions|copy of this license|text of this license",
        "stating changes": r"(prominent notices stating|stating that you changed|summary of the changes)",
        "keeping the NOTICE file": r"\"?notice\"? text file",
        "disclosing the source": r"(source code form)[^.]{0,120}(must|available)|corresponding source|machine-readable source",
        "the same licence for changes": r"(must|shall)[^.]{0,120}under (the terms of )?this license|licensed[^.]{0,60}as a whole[^.]{0,60}under this",
    },
    "forbids": {
        "using names to endorse": r"(neither the name|names?)[^.]{0,200}(endorse|promote|advertis)",
        "using trademarks": r"(does not grant|no right|not grant)[^.]{0,120}trademark",
        "holding the authors liable": r"\b(in no event|under no legal theory)\b[^.]{0,400}\bliab",
        "relying on a warranty": r"\"?as is\"?|without warrant(y|ies)",
    },
}
_PATTERNS = {
    group: {label: re.compile(pattern, re.IGNORECASE) for label, pattern in rules.items()}
    for group, rules in _RULES.items()
}
_PATENT = re.compile(r"\bpatents?\b", re.IGNORECASE)
_NOTICE = re.compile(r"\bnotice\b", re.IGNORECASE)
_QUOTE = 220


def extract(distribution: Distribution) -> Facts:
    texts = [file.text for file in distribution.files]
    sentences = _sentences(file.text for file in distribution.files if file.kind == "licence")
    return Facts(
        holders=holders(texts),
        permits=_clauses("permits", sentences),
        requires=_clauses("requires", sentences),
        forbids=_clauses("forbids", sentences),
        patents=_quotes(_PATENT, sentences, most=3),
        notices=_quotes(_NOTICE, sentences, most=3),
    )


def holders(texts: Iterable[str]) -> list[Holder]:
    """Everyone whom a copyright line names, in order of appearance, with all their years in one span."""
    years: dict[str, list[str]] = {}
    for text in texts:
        for line in _COPYRIGHT.finditer(text):
            name, when = _name(line["holder"])
            when += re.findall(r"present|\b(?:19|20)\d\d\b", (line["years"] or "").lower())
            if name and (when or line["mark"]):  # "Copyright" alone begins many a sentence of a licence
                years.setdefault(name, []).extend(when)
    return [Holder(name=name, years=_span(found)) for name, found in years.items()]


def _name(raw: str) -> tuple[str, list[str]]:
    """The holder without address and flourish, and the years that follow the name instead of preceding it."""
    name, years = " ".join(_ADDRESS.sub(" ", raw).split()), []
    while tail := _TAIL.search(name):
        years += re.findall(r"present|\b(?:19|20)\d\d\b", (tail["years"] or "").lower())
        name = name[: tail.start()]
    name = re.sub(r"(?<=\w{5})\.$", "", name.strip(" ,;:*#-–\"'"))  # a full stop, but not that of "Inc."
    usable = len(name) <= 90 and re.search(r"[^\W\d_]{2}", name) and not _BOILERPLATE.match(name)
    return (name if usable else "", years)


def _span(years: list[str]) -> str:
    if not years:
        return ""
    first, last = min(years), max(years)  # "present" sorts behind every year
    return first if first == last else f"{first}–{last}"


def _sentences(texts: Iterable[str]) -> list[str]:
    """Sentences on one line each, twice the same only once."""
    found: dict[str, None] = {}
    for text in texts:
        flat = " ".join(re.sub(r"(?m)^[\s#*>/-]+", " ", text).split())
        found.update(dict.fromkeys(re.split(r"(?<=[a-z\"”)][.;:]) +(?=[A-Z0-9(\"“*])", flat)))
    return list(found)


def _clauses(group: str, sentences: list[str]) -> list[Clause]:
    clauses = []
    for label, pattern in _PATTERNS[group].items():
        for sentence in sentences:
            if match := pattern.search(sentence):
                clauses.append(Clause(label=label, quote=_around(sentence, match.start(), match.end())))
                break
    return clauses


def _quotes(pattern: re.Pattern[str], sentences: list[str], most: int) -> list[str]:
    hits = ((sentence, match) for sentence in sentences if (match := pattern.search(sentence)))
    return [_around(sentence, match.start(), match.end()) for sentence, match in list(hits)[:most]]


def _around(sentence: str, start: int, end: int) -> str:
    """The sentence, or as much of it around the finding as a reader wants."""
    if len(sentence) <= _QUOTE:
        return sentence
    first = max(0, min(start, end - _QUOTE // 2) - 30)
    first = first and sentence.find(" ", first) + 1
    cut = sentence[first : first + _QUOTE].rpartition(" ")[0]
    return f"{'… ' if first else ''}{cut.strip()}{' …' if first + _QUOTE < len(sentence) else ''}"
