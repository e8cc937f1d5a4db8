# SPDX-License-Identifier: Apache-2.0
"""Commands that act on many workflows: which ones, a dry run, a question, and then each of them.

The workflows are named by their ids, or by the filters of `nervenet list`. One that refuses does not stop the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from nervenet.cli.commands.listing import collect, filters_of
from nervenet.cli.context import CommandContext
from nervenet.cli.failures import Refused, Stopped, UsageError, exit_code, status
from nervenet.cli.render import workflows
from nervenet.cli.render.text import plural
from nervenet.cli.values import states
from nervenet.errors import NervenetError

AT_ONCE = 8


class Verb(NamedTuple):
    """What a command does to a workflow: `restart`, `restarted`, and the states in which it can be done."""

    name: str
    done: str
    states: Sequence[str]
    """The states that filters choose if `--state` is not given."""
    act: Callable[[CommandContext, str], Awaitable[None]]
    """Do it, and say so. Raises NervenetError."""


def has_filters(args: argparse.Namespace) -> bool:
    return bool(args.state or args.definition or args.label or args.since)


async def act_on_many(context: CommandContext, verb: Verb, ids: Sequence[str]) -> int:
    """Act on these ids, or on what the filters find. Returns the exit code."""
    args, screen = context.args, context.screen
    if ids and has_filters(args):
        raise UsageError(f"{verb.name}: give ids or filters, not both")
    if not ids and not has_filters(args):
        hint = f"nervenet {verb.name} ID, or: nervenet {verb.name} --state blocked --definition NAME --dry-run"
        raise UsageError(f"{verb.name}: missing: ID", hint)
    found = [await _one(context, each) for each in ids] if args.dry_run else []
    if not ids:
        found = await _found(context, verb)
        ids = [one.workflow_id for one in found]
        if not ids:
            screen.note(f"No workflow matches: nothing to {verb.name}.")
            return 0
    if args.dry_run:
        screen.lines(workflows.listed(_listing(found), screen.view()))
        screen.note(f"{plural(len(ids), 'workflow')} would be {verb.done}. Nothing was changed.")
        return 0
    if (len(ids) > 1 or found) and not args.yes:
        _confirm(context, verb, ids)
    return await _each(context, verb, ids)


async def _each(context: CommandContext, verb: Verb, ids: Sequence[str]) -> int:
    if len(ids) == 1:
        await verb.act(context, ids[0])
        return 0
    turns, refused = asyncio.Semaphore(AT_ONCE), list[NervenetError]()

    async def one(workflow_id: str) -> None:
        async with turns:
            try:
                await verb.act(context, workflow_id)
            except Stopped as error:  # it has said why
                refused.append(error)
            except NervenetError as error:
                refused.append(error)
                said = json.dumps(status(error)) if context.screen.json else ""
                context.screen.complain(Text(said) if said else workflows.refused(workflow_id, str(error)))

    await asyncio.gather(*map(one, ids))
    done = len(ids) - len(refused)
    context.screen.note(f"{plural(done, 'workflow')} {verb.done}" + (f", {len(refused)} not." if refused else "."))
    return exit_code(refused[0]) if refused else 0


async def _found(context: CommandContext, verb: Verb) -> list[Any]:
    args = context.args
    wanted = states(args.state) or list(verb.states)
    response = await collect(context, args.limit, "", wanted, filters_of(args))
    if response.next_page_token:
        context.screen.note(f"More than {args.limit} workflows match: these are the newest (--limit).")
    return list(response.workflows)


async def _one(context: CommandContext, workflow_id: str) -> Any:
    response = await context.mesh.call("GetWorkflow", workflow_id=workflow_id, payload_format="PAYLOAD_FORMAT_OMIT")
    return response.workflow


def _listing(found: Sequence[Any]) -> Any:
    from nervenet.v1 import coordinator_service_pb2 as service

    return service.ListWorkflowsResponse(workflows=found)


def _confirm(context: CommandContext, verb: Verb, ids: Sequence[str]) -> None:
    many, screen = plural(len(ids), "workflow"), context.screen
    if not screen.interactive:
        raise UsageError(f"{verb.name} {many}: pass --yes to confirm (there is no terminal to ask)")
    if screen.ask(f"{verb.name.capitalize()} {many}? [y/N] ").lower() not in ("y", "yes"):
        raise Refused(f"nothing was {verb.done}")
