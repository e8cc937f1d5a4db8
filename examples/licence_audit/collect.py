# SPDX-License-Identifier: Apache-2.0
"""The outcome of each audit, read through the public client: rows for the report and the details below them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from nervenet import Client, Escalation, WorkflowHandle, WorkflowInfo

from .models import Audit, Classification, Dispute, Distribution, Facts
from .report import Detail, Row
from .validate import validate

OPEN = {"RUNNING", "CANCELING"}
DECISIONS = ["accept the suggestion", "edit it", "retry", "fail"]


class Outcome(NamedTuple):
    """One workflow's part of the report; `recorded` has the time at which each of its tasks got its outcome."""

    row: Row
    detail: Detail
    recorded: dict[str, float]
    duplicates: int


async def outcomes(client: Client, audits: Mapping[str, tuple[Distribution, WorkflowHandle[Audit]]]) -> list[Outcome]:
    """In the order of `audits`, whatever finished first."""
    questions = {question.workflow_id: question async for question in client.escalations()}
    asked = (_outcome(given, handle, questions.get(key)) for key, (given, handle) in audits.items())
    return list(await asyncio.gather(*asked))


async def _outcome(given: Distribution, handle: WorkflowHandle[Audit], question: Escalation | None) -> Outcome:
    info = await handle.info()
    if info.state == "SUCCEEDED":
        row, detail = _judged(handle.id, await handle.result())
    elif question is not None:
        row, detail = _waiting(given, info, question)
    else:
        row, detail = _failed(given, info)
    return Outcome(row, detail, await _recorded(handle, info), info.suppressed_duplicates)


def _judged(workflow_id: str, audit: Audit) -> tuple[Row, Detail]:
    row = Row(
        name=audit.name,
        version=audit.version,
        workflow_id=workflow_id,
        state="SUCCEEDED",
        declared=audit.declared,
        found=audit.found,
        confidence=audit.confidence,
        verdict=audit.verdict,
        escalation=None,
    )
    detail = Detail(
        text=audit.text,
        mismatch=audit.mismatch,
        decision=audit.decision,
        files=audit.files,
        facts=audit.facts,
        methods=audit.methods,
    )
    return row, detail


def _waiting(given: Distribution, info: WorkflowInfo, question: Escalation) -> tuple[Row, Detail]:
    """What the agents found so far is in the question that they, or the workflow, put to a human."""
    if question.step == "ask":
        dispute = Dispute.model_validate(question.context)
        found, detail = dispute.classification, Detail(facts=Facts(holders=dispute.holders))
    else:
        found, detail = Classification.model_validate(question.context), Detail()
    answers = list(question.choices) or DECISIONS
    detail = detail.model_copy(update={"question": question.question, "answers": answers, "files": found.files})
    return _open(given, info, found, question.id), detail


def _failed(given: Distribution, info: WorkflowInfo) -> tuple[Row, Detail]:
    said = f"{info.state}: {info.failure.message}" if info.failure else info.state
    return _open(given, info, Classification(found="", confidence=0.0), None), Detail(text=said)


def _open(given: Distribution, info: WorkflowInfo, found: Classification, escalation: str | None) -> Row:
    return Row(
        name=given.name,
        version=given.version,
        workflow_id=info.id,
        state=info.state,
        declared=validate(given.declared, found.found).declared,
        found=found.found,
        confidence=found.confidence,
        verdict="unknown",
        escalation=escalation,
    )


async def _recorded(handle: WorkflowHandle[Audit], info: WorkflowInfo) -> dict[str, float]:
    """Task id → when its outcome entered the journal; read to the end, or to the question that is open."""
    recorded = {}
    async for event in handle.watch():
        if event.kind == "task" and event.step != "ask":
            recorded[f"{handle.id}/{event.step}"] = event.time.timestamp()
        if event.kind == "escalated" and info.state == "WAITING_FOR_HUMAN":
            break
    return recorded
