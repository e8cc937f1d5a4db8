# SPDX-License-Identifier: Apache-2.0
"""report.json is what scripts rely on; report.html stands alone and shows what a package says, never runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from examples.licence_audit.models import Facts, Holder
from examples.licence_audit.report import Detail, Kept, Report, Row, Tasks, Workflows, page, write

ROW = Row(
    name="alpha",
    version="1.0",
    workflow_id="audit-alpha",
    state="SUCCEEDED",
    declared="MIT",
    found="MIT",
    confidence=0.988,
    verdict="permissive",
    escalation=None,
)
WAITING = ROW.model_copy(
    update={
        "name": "beta",
        "workflow_id": "audit-beta",
        "state": "WAITING_FOR_HUMAN",
        "found": "Apache-2.0 AND MIT",
        "verdict": "unknown",
        "escalation": "audit-beta/ask",
    }
)


def report(*rows: Row) -> Report:
    return Report(
        distributions=len(rows),
        workflows=Workflows(succeeded=1, waiting=len(rows) - 1, failed=0),
        tasks=Tasks(completed=7, attempts=8, duplicates_suppressed=1),
        rows=list(rows),
        nodes=2,
        agents=5,
        seconds=12.3,
    )


def test_the_json_has_the_fields_that_scripts_rely_on(tmp_path: Path) -> None:
    write(tmp_path, report(ROW, WAITING), {}, title="Licence audit")
    data = json.loads((tmp_path / "report.json").read_text())
    assert list(data) == ["distributions", "workflows", "tasks", "rows", "nodes", "agents", "seconds"]
    assert data["workflows"] == {"succeeded": 1, "waiting": 1, "failed": 0}
    assert data["tasks"] == {"completed": 7, "attempts": 8, "duplicates_suppressed": 1}
    assert list(data["rows"][0]) == [
        "name", "version", "workflow_id", "state", "declared", "found", "confidence", "verdict", "escalation",
    ]  # fmt: skip
    assert data["rows"][1]["escalation"] == "audit-beta/ask" and data["rows"][0]["escalation"] is None


def test_the_page_needs_nothing_from_elsewhere() -> None:
    html = page(report(ROW, WAITING), {}, title="Licence audit")
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//|@import|url\(", html)
    assert "$" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL), "a placeholder was left"


def test_the_rows_can_be_read_without_scripts() -> None:
    html = page(report(ROW, WAITING), {}, title="Licence audit")
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    assert body.count("<tr ") == 2 and ">permissive<" in body and ">waits for a human<" in body


def test_a_question_about_several_packages_is_one_card_with_a_command_for_each() -> None:
    other = WAITING.model_copy(update={"name": "gamma", "workflow_id": "audit-gamma", "escalation": "audit-gamma/ask"})
    details = {
        row.workflow_id: Detail(question=f"{row.name}: the files contain MIT. Which counts?", answers=["reject"])
        for row in (WAITING, other)
    }
    kept = Kept("--address 127.0.0.1:7700 --namespace audit-1")
    html = page(report(ROW, WAITING, other), details, title="Licence audit", kept=kept)
    assert html.count("The files contain MIT. Which counts?") == 1
    assert "nervenet escalations resolve audit-beta/ask --address 127.0.0.1:7700 --namespace audit-1<" in html
    assert "nervenet escalations resolve audit-gamma/ask --address 127.0.0.1:7700 --namespace audit-1<" in html


def test_a_mesh_that_is_gone_is_neither_linked_nor_asked() -> None:
    kept = Kept("--namespace audit-1", "http://127.0.0.1:7701/")
    assert '<a href="http://127.0.0.1:7701/">' in page(report(ROW, WAITING), {}, title="Licence audit", kept=kept)
    gone = page(report(ROW, WAITING), {}, title="Licence audit")
    assert "dashboard" not in gone and "nervenet escalations" not in gone


def test_what_a_package_writes_is_shown_and_never_run() -> None:
    evil = ROW.model_copy(update={"name": "<script>alert(1)</script>", "declared": '"><img src=x onerror=alert(2)>'})
    details = {evil.workflow_id: Detail(facts=Facts(holders=[Holder(name="</script><script>alert(3)</script>")]))}
    html = page(report(evil), details, title="a <b>title</b>")
    assert "<script>alert" not in html and "<img" not in html and "<b>title" not in html
    data = html.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)[evil.workflow_id]["facts"]["holders"][0]["name"].endswith("alert(3)</script>")
