# SPDX-License-Identifier: Apache-2.0
"""The audit as a file for programs (report.json) and as a page for people (report.html).

`rows` say what was found and nothing about the run that found it, so two runs over the same environment give the same
bytes. The page is one file without outside resources: it has the rows as HTML, so that it can be read and printed
without scripts, and the details as JSON, which the page's own script unfolds.
"""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from pydantic import BaseModel

from .models import Facts, FileMatch, Model, Verdict

TEMPLATE = Path(__file__).with_name("report.template.html")
VERDICTS: tuple[Verdict, ...] = ("permissive", "weak copyleft", "strong copyleft", "unknown")
STATES = {"SUCCEEDED": "done", "WAITING_FOR_HUMAN": "waiting", "FAILED": "failed"}


class Row(Model):
    name: str
    version: str
    workflow_id: str
    state: str
    declared: str
    found: str
    confidence: float
    verdict: Verdict
    escalation: str | None


class Workflows(Model):
    succeeded: int
    waiting: int
    failed: int


class Tasks(Model):
    completed: int
    attempts: int
    duplicates_suppressed: int


class Report(Model):
    """report.json, field for field."""

    distributions: int
    workflows: Workflows
    tasks: Tasks
    rows: list[Row]
    nodes: int
    agents: int
    seconds: float


class Detail(BaseModel):
    """What the page unfolds below a row."""

    text: str = ""
    mismatch: str = ""
    decision: str = ""
    question: str = ""
    answers: list[str] = []
    files: list[FileMatch] = []
    facts: Facts = Facts()
    methods: dict[str, str] = {}


class Kept(NamedTuple):
    """How to reach the mesh of a demo that was kept."""

    flags: str
    """Of `nervenet`: where it is, and which namespace."""
    dashboard: str = ""


def write(folder: Path, report: Report, details: Mapping[str, Detail], *, title: str, kept: Kept | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(report, details, title=title, kept=kept), encoding="utf-8")


def page(report: Report, details: Mapping[str, Detail], *, title: str, kept: Kept | None = None) -> str:
    data = {workflow_id: detail.model_dump() for workflow_id, detail in details.items()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        dashboard=_dashboard(kept),
        tiles=_tiles(report),
        verdicts=_verdicts(report.rows),
        agreement=_agreement(report.rows),
        licences=_licences(report.rows),
        questions=_questions(report.rows, details, kept),
        rows="\n".join(_row(row) for row in report.rows),
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    )


def _dashboard(kept: Kept | None) -> str:
    if kept is None or not kept.dashboard:
        return ""
    return (
        f'<p class="kept"><a href="{html.escape(kept.dashboard)}">Open this run in the dashboard</a>: '
        "each workflow over time, and an inbox for the questions. It is there until you end the demo.</p>"
    )


def _tiles(report: Report) -> str:
    flows, tasks = report.workflows, report.tasks
    tiles = [
        ("", report.distributions, "distributions audited"),
        ("good", flows.succeeded, "judged by the agents"),
        ("ask" if flows.waiting else "", flows.waiting, "wait for a human"),
        ("bad" if flows.failed else "", flows.failed, "failed"),
        ("", f"{report.seconds:.1f} s", f"on {report.nodes} nodes and {report.agents} agents"),
        ("", tasks.completed, f"tasks in {tasks.attempts} attempts"),
    ]
    return "\n".join(
        f'<div class="tile {kind}"><b>{html.escape(str(value))}</b><span>{html.escape(label)}</span></div>'
        for kind, value, label in tiles
    )


def _verdicts(rows: list[Row]) -> str:
    """Who still waits is not counted as unknown."""
    judged = Counter(row.verdict for row in rows if row.state == "SUCCEEDED")
    counts: list[tuple[str, str, int]] = [(verdict, _slug(verdict), judged[verdict]) for verdict in VERDICTS]
    return _bar([*counts, ("no verdict yet", "waiting", len(rows) - judged.total())])


def _agreement(rows: list[Row]) -> str:
    steps = Counter((row.escalation or "").rpartition("/")[2] for row in rows if row.state != "FAILED")
    return _bar(
        [
            ("agree", "agree", steps[""]),
            ("disagree", "waiting", steps.total() - steps[""] - steps["classify"]),
            ("text not recognised for sure", "unknown", steps["classify"]),
        ]
    )


def _bar(counts: list[tuple[str, str, int]]) -> str:
    shown = [(label, slug, count) for label, slug, count in counts if count]
    total = sum(count for _, _, count in shown) or 1
    bar = "".join(
        f'<i class="{slug}" style="flex-grow:{count}" title="{label}: {count}"></i>' for label, slug, count in shown
    )
    legend = "".join(
        f'<li><i class="{slug}"></i><b>{count}</b> {label} <em>{count / total:.0%}</em></li>'
        for label, slug, count in shown
    )
    return f'<div class="bar" aria-hidden="true">{bar}</div><ul class="legend">{legend}</ul>'


def _licences(rows: list[Row], most: int = 7) -> str:
    counts = Counter(spdx for row in rows for spdx in row.found.split(" AND ") if spdx)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    widest = top[0][1] if top else 1
    return "".join(
        f'<li><span>{html.escape(spdx)}</span><i style="width:{100 * count / widest:.1f}%"></i><b>{count}</b></li>'
        for spdx, count in top
    )


def _questions(rows: list[Row], details: Mapping[str, Detail], kept: Kept | None) -> str:
    """One card a question: what is asked about several packages in the same words is one thing to think about."""
    cards: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        if row.escalation is not None:
            detail = details.get(row.workflow_id, Detail())
            question = detail.question.removeprefix(f"{row.name}: ")
            cards.setdefault((question[:1].upper() + question[1:], tuple(detail.answers)), []).append(row)
    return "\n".join(_card(question, answers, asking, kept) for (question, answers), asking in cards.items())


def _card(question: str, answers: tuple[str, ...], asking: list[Row], kept: Kept | None) -> str:
    """With the command that answers, if there is still a mesh to ask."""
    names = ", ".join(
        f'<a href="#{html.escape(row.workflow_id)}">{html.escape(row.name)}</a> <small>{html.escape(row.version)}</small>'
        for row in asking
    )
    commands = "".join(
        f'<code tabindex="0" title="Copy">nervenet escalations resolve {html.escape(row.escalation or "")} {html.escape(kept.flags)}</code>'
        for row in asking
        if kept
    )
    chips = "".join(f"<span>{html.escape(answer)}</span>" for answer in answers)
    return f'<li><h3>{names}</h3><div><p>{_unbroken(question)}</p><div class="answers">{chips}</div></div><div>{commands}</div></li>'


def _row(row: Row) -> str:
    state = STATES.get(row.state, row.state.lower())
    verdict = _slug(row.verdict) if state == "done" else state
    label = row.verdict if state == "done" else {"waiting": "waits for a human"}.get(state, state)
    cells = [
        f'<td class="name"><button aria-expanded="false">{html.escape(row.name)}</button> <small>{html.escape(row.version)}</small></td>',
        _cell("declared", row.declared),
        _cell("found", row.found),
        f'<td data-label="confidence" data-sort="{row.confidence}"><span class="meter"><i style="width:{row.confidence:.0%}"></i></span>'
        f"<span class=number>{row.confidence:.2f}</span></td>",
        f'<td data-label="verdict" data-sort="{_rank(row)}"><span class="badge {verdict}">{html.escape(label)}</span></td>',
    ]
    return f'<tr id="{html.escape(row.workflow_id)}" data-verdict="{verdict}">{"".join(cells)}</tr>'


def _cell(label: str, text: str) -> str:
    shown = _unbroken(text) if text else '<span class="none">nothing</span>'
    return f'<td data-label="{label}" data-sort="{html.escape(text.lower())}">{shown}</td>'


def _unbroken(text: str) -> str:
    """Escaped, and no licence id broken at its hyphens."""
    words = [html.escape(word) for word in text.split(" ")]
    return " ".join(f'<span class="id">{word}</span>' if "-" in word else word for word in words)


def _rank(row: Row) -> int:
    return VERDICTS.index(row.verdict) if row.state == "SUCCEEDED" else len(VERDICTS)


def _slug(verdict: str) -> str:
    return verdict.replace(" ", "-")
