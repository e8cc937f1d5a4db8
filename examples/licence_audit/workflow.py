# SPDX-License-Identifier: Apache-2.0
"""One distribution's way through the audit: classify, then extract beside validate, perhaps a human, then summarize."""

from __future__ import annotations

import asyncio

from nervenet import CallOptions, Context, RetryPolicy

from .agents import classify, extract, summarize, validate
from .agents import mesh as mesh
from .models import (
    Audit,
    Classification,
    Dispute,
    Distribution,
    Progress,
    Summary,
    SummaryInput,
    Validation,
    ValidationInput,
)

PERSISTENT = CallOptions(retry=RetryPolicy(on_exhausted="escalate"))
"""A language model may be out for longer than five attempts: then a human decides instead of the audit failing."""

TRUST_FILES, TRUST_METADATA, REJECT = "trust the files", "trust the metadata", "reject"


@mesh.workflow
async def licence_audit(ctx: Context, distribution: Distribution) -> Audit:
    ctx.publish(Progress(stage="classify").model_dump())
    classified = await ctx.call(classify, distribution)
    ctx.publish(_progress("extract and validate", classified).model_dump())
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(ctx.call(extract, distribution))
        checking = group.create_task(
            ctx.call(validate, ValidationInput(declared=distribution.declared, found=classified.found))
        )
    facts, checked = reading.result(), checking.result()
    dispute = Dispute(validation=checked, classification=classified, holders=facts.holders)
    licence, decision = await _settle(ctx, distribution, dispute)
    ctx.publish(_progress("summarize", classified, checked).model_dump())
    summary: Summary = await ctx.call(
        summarize,
        SummaryInput(
            name=distribution.name,
            version=distribution.version,
            licence=licence,
            classification=classified,
            validation=checked,
            facts=facts,
            decision=decision,
        ),
        options=PERSISTENT,
    )
    return Audit(
        name=distribution.name,
        version=distribution.version,
        declared=checked.declared,
        found=classified.found,
        confidence=classified.confidence,
        verdict=summary.verdict,
        files=classified.files,
        text=summary.text,
        facts=facts,
        mismatch=checked.mismatch,
        decision=decision,
        methods={
            "classify": classified.method,
            "extract": facts.method,
            "validate": checked.method,
            "summarize": summary.method,
        },
    )


async def _settle(ctx: Context, distribution: Distribution, dispute: Dispute) -> tuple[str, str]:
    """The expression to judge, and how it was decided where files and metadata disagree."""
    checked, classified = dispute.validation, dispute.classification
    if checked.agrees:
        return checked.judged, ""
    ctx.publish(_progress("mismatch", classified, checked).model_dump())
    answer = await ctx.ask(
        f"{distribution.name}: {checked.mismatch}. Which counts?",
        choices=[TRUST_FILES, TRUST_METADATA, REJECT],
        context=dispute,
    )
    decision = f"{answer.resolver} decided: {answer.value}" + (f" ({answer.comment})." if answer.comment else ".")
    licence = {TRUST_FILES: classified.found, TRUST_METADATA: checked.declared}.get(answer.value, "")
    return licence, decision


def _progress(stage: str, classified: Classification, checked: Validation | None = None) -> Progress:
    return Progress(
        stage=stage,
        declared=checked.declared if checked else "",
        found=classified.found,
        confidence=classified.confidence,
    )
