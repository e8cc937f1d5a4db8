# SPDX-License-Identifier: Apache-2.0
"""One paragraph a colleague can read, and a verdict that follows from the licences' categories, never from the prose."""

from __future__ import annotations

from . import spdx
from .models import Clause, Summary, SummaryInput

_ARTICLE = {
    "permissive": "a permissive licence",
    "weak copyleft": "a weak copyleft licence: changes to its own files stay under it",
    "strong copyleft": "a strong copyleft licence: a work that contains it goes under it as a whole",
    "unknown": "terms that could not be judged",
}


def summarize(audit: SummaryInput) -> Summary:
    verdict = spdx.verdict(audit.licence)
    return Summary(text=paragraph(audit), verdict=verdict)


def paragraph(audit: SummaryInput) -> str:
    verdict = spdx.verdict(audit.licence)
    name = f"{audit.name} {audit.version}".strip()
    sentences = [
        f"{name} comes under {audit.licence}, {_ARTICLE[verdict]}." if audit.licence else f"{name}: no licence."
    ]
    sentences.append(_who(audit))
    for verb, clauses in (("permits", audit.facts.permits), ("requires", audit.facts.requires)):
        if clauses:
            sentences.append(f"It {verb} {_listed(clauses)}.")
    if audit.facts.forbids:
        sentences.append(f"It rules out {_listed(audit.facts.forbids)}.")
    if audit.facts.patents:
        sentences.append("It speaks of patents.")
    if audit.decision:
        sentences.append(audit.decision)
    return " ".join(sentence for sentence in sentences if sentence)


def _who(audit: SummaryInput) -> str:
    names = [f"{holder.name} ({holder.years})" if holder.years else holder.name for holder in audit.facts.holders]
    if not names:
        return "No copyright holder is named."
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Copyright: {', '.join(names[:3])}{more}."


def _listed(clauses: list[Clause]) -> str:
    labels = [clause.label for clause in clauses]
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
