# SPDX-License-Identifier: Apache-2.0
"""`nervenet escalations list|show|resolve`: what waits for a human, and the answer.

Without a flag `resolve` asks on a terminal. If the question is decided already, the message says who decided it, and when.
"""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from rich.text import Text

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import Refused, UsageError
from nervenet.cli.render import escalations as render
from nervenet.cli.render.screen import Screen
from nervenet.cli.values import escalation_id, read_json, repeated
from nervenet.errors import AlreadyClosed


def run_list(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call(
            "ListEscalations",
            page_size=min(args.limit, 1000),
            page_token=args.next or "",
            workflow_id=args.workflow or "",
        )
        screen = context.screen
        if args.json:
            screen.rows(response.escalations, response, "escalations")
            return
        view = screen.view()
        screen.lines(render.listed(response, view))
        command = repeated("nervenet escalations list", args, "workflow")
        screen.note(render.list_footer(response, view, context.config.namespace, command))

    return ask_mesh(args, work)


def run_show(args: argparse.Namespace) -> int:
    which = escalation_id(args.id)

    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("GetEscalation", escalation_id=which)
        screen = context.screen
        if args.json:
            screen.message(response)
        else:
            screen.lines(render.shown(response.escalation, screen.view()))

    return ask_mesh(args, work)


def run_resolve(args: argparse.Namespace) -> int:
    which = escalation_id(args.id)
    given = {"complete": read_json(args.complete, "--complete")} if args.complete is not None else {}

    async def work(context: CommandContext) -> None:
        screen = context.screen
        found = (await context.mesh.call("GetEscalation", escalation_id=which)).escalation
        if not render.is_open(found) and not _is_given(args):  # the same decision again is answered by the node
            raise Refused(f"{render.short(which)}: {render.decision(found, screen.view())}")
        resolution = _decision(context, found, given.get("complete"))
        try:
            response = await context.mesh.call("ResolveEscalation", escalation_id=which, resolution=resolution)
        except AlreadyClosed:  # somebody was faster: say who
            found = (await context.mesh.call("GetEscalation", escalation_id=which)).escalation
            if render.is_open(found):
                raise
            raise Refused(f"{render.short(which)}: {render.decision(found, screen.view())}") from None
        if args.json:
            screen.message(response)
        screen.note(render.resolved(response.escalation, screen.view()))

    return ask_mesh(args, work)


def _is_given(args: argparse.Namespace) -> bool:
    return any(each is not None for each in (args.complete, args.retry, args.fail, args.answer))


def _decision(context: CommandContext, found: Any, complete: str | None) -> dict[str, Any]:
    """The EscalationResolution for the flags, or for the answers on a terminal."""
    args = context.args
    made: dict[str, Any] = {"comment": args.comment or "", "resolver": context.me()}
    if complete is not None:
        return made | {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": complete}}
    if args.retry is not None:
        return made | {"action": "ESCALATION_ACTION_RETRY", "attempts": args.retry}
    if args.fail is not None:
        return made | {"action": "ESCALATION_ACTION_FAIL", "comment": args.fail or made["comment"]}
    if args.answer is not None:
        value = render.answer_json(found.question, args.answer)
        return made | {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": value}}
    return made | _asked(context, found)


def _asked(context: CommandContext, found: Any) -> dict[str, Any]:
    """Ask the person at the terminal."""
    screen = context.screen
    if not screen.interactive:
        choice = " | ".join(f"--answer {shlex.quote(word)}" for word in found.question.choices)
        raise UsageError(f"decide with one of: {choice or '--answer V | --complete JSON | --retry N | --fail MSG'}")
    screen.note(*render.shown(found, screen.view(), prompted=True))
    said = _word(screen, found)
    if said == "retry":
        return {"action": "ESCALATION_ACTION_RETRY", "attempts": 1}
    if said == "fail":
        return {"action": "ESCALATION_ACTION_FAIL", "comment": screen.ask("message: ")}
    if said == "complete":
        said = screen.ask("value (JSON; empty: the suggestion): ") or render.suggestion_json(found.question) or ""
        return {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": read_json(said, "value")}}
    return {
        "action": "ESCALATION_ACTION_COMPLETE",
        "value": {"json": render.answer_json(found.question, said)},
        "comment": screen.ask("comment (may be empty): "),
    }


def _word(screen: Screen, found: Any) -> str:
    """What the person typed. Asks again until it is one of the choices."""
    choices = found.question.choices
    while said := screen.ask(f"answer ({', '.join(render.answers(found.question))}): "):
        if not choices or said in choices:
            return said
        screen.complain(Text(f"{said} is not one of the choices", style="red"))
    raise Refused("nothing was decided")
