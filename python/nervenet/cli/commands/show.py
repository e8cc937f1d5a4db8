# SPDX-License-Identifier: Apache-2.0
"""`nervenet show`: one workflow with its steps; with `--journal` its entries too."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import events, timeline
from nervenet.errors import NotFound

QUESTIONS = 100
"""The most results that are fetched. The journal has all of them."""


def run(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call(
            "GetWorkflow",
            workflow_id=args.id,
            payload_format="PAYLOAD_FORMAT_RAW",
            include_task_payloads=args.result,
        )
        screen = context.screen
        if args.json:
            screen.message(response)
        else:
            found = response.workflow
            said = await _decided(context, found)
            lines = timeline.shown(found, screen.view(), inputs=args.input, results=args.result, decided=said)
            screen.lines(lines)
        if args.journal:
            await _journal(context)

    return ask_mesh(args, work)


async def _decided(context: CommandContext, found: Any) -> dict[str, Any]:
    """What humans answered, by escalation id."""
    asked = [step.escalation_id for step in found.tasks if step.escalation_id]
    closed = [which for which in asked if which not in found.open_escalations][:QUESTIONS]
    answers = await asyncio.gather(*(_escalation(context, which) for which in closed))
    return {which: answer for which, answer in zip(closed, answers, strict=True) if answer is not None}


async def _escalation(context: CommandContext, which: str) -> Any:
    """One escalation. None if it is gone: the next run of its workflow has begun."""
    try:
        return (await context.mesh.call("GetEscalation", escalation_id=which)).escalation
    except NotFound:
        return None


async def _journal(context: CommandContext) -> None:
    """The journal, page by page. With `--json` each page is a message."""
    screen, token = context.screen, ""
    while True:
        page = await context.mesh.call(
            "ListJournal", workflow_id=context.args.id, page_token=token, payload_format="PAYLOAD_FORMAT_RAW"
        )
        if screen.json:
            screen.message(page)
        else:
            screen.lines(events.event(entry, screen.view()) for entry in page.entries)
        token = page.next_page_token
        if not token:
            return
