# SPDX-License-Identifier: Apache-2.0
"""`nervenet show`: one workflow with its steps, or those of them that failed or are slow; with `--journal` its entries too."""

from __future__ import annotations

import argparse
import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import UsageError
from nervenet.cli.render import events, timeline
from nervenet.cli.render.plain_json import plain
from nervenet.errors import NotFound

QUESTIONS = 100
"""The most results that are fetched. The journal has all of them."""
INPUTS = 20
"""Of the steps that `--failed --input` shows, how many with their input."""


def run(args: argparse.Namespace) -> int:
    if args.id is None and args.input:  # `show --input ID`: the word behind it is no step
        args.id, args.input = args.input, ""
    if args.id is None:
        raise UsageError("show: missing ID", "nervenet show ID")

    async def work(context: CommandContext) -> None:
        screen = context.screen
        wish = timeline.Wish(
            inputs=args.input == "",
            results=args.result,
            failed=args.failed,
            slowest=args.slowest or 0,
            all=args.all,
        )
        response = await _get(context, [args.input] if args.input else [])
        found = response.workflow
        wish = replace(wish, input_steps=_input_steps(args, found, wish))
        if wish.input_steps and not args.input:
            response = await _get(context, wish.input_steps)
            found = response.workflow
        if args.json:
            steps = timeline.chosen(found, wish)
            if len(steps) < len(found.tasks):
                kept = [type(step).FromString(step.SerializeToString()) for step in steps]
                del found.tasks[:]
                found.tasks.extend(kept)
            screen.message(response)
        else:
            wish = replace(wish, decided=await _decided(context, found))
            screen.lines(timeline.shown(found, screen.view(), wish))
            if said := timeline.hint(found, wish):
                screen.note(said)
        if args.journal:
            await _journal(context)

    return ask_mesh(args, work)


async def _get(context: CommandContext, input_steps: Sequence[str]) -> Any:
    return await context.mesh.call(
        "GetWorkflow",
        workflow_id=context.args.id,
        payload_format="PAYLOAD_FORMAT_RAW",
        include_task_payloads=context.args.result,
        input_steps=input_steps,
    )


def _input_steps(args: argparse.Namespace, found: Any, wish: timeline.Wish) -> Sequence[str]:
    """The steps whose inputs are wanted."""
    if args.input:
        if all(step.step != args.input for step in found.tasks):
            names = [step.step for step in found.tasks]
            close = difflib.get_close_matches(args.input, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise NotFound(f"{found.workflow_id} has no step {args.input}{hint}", code="NOT_FOUND")
        return [args.input]
    if args.input is None or not (wish.failed or wish.slowest):
        return []
    return [step.step for step in timeline.chosen(found, wish)[:INPUTS]]


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
    """The journal, page by page. With `--json` an entry in each line."""
    screen, token = context.screen, ""
    while True:
        page = await context.mesh.call(
            "ListJournal", workflow_id=context.args.id, page_token=token, payload_format="PAYLOAD_FORMAT_RAW"
        )
        if screen.json:
            screen.rows(({"entry": plain(entry)} for entry in page.entries), page, "entries", "next_page_token")
        else:
            screen.lines(events.event(entry, screen.view()) for entry in page.entries)
        token = page.next_page_token
        if not token:
            return
