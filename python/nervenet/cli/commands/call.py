# SPDX-License-Identifier: Apache-2.0
"""`nervenet call`: one durable task without a workflow; the same request id is the same task, now and later.

A task for which there is no agent waits, for a week if need be. So after a second the command says that nobody serves it,
and what there is. Ctrl-C ends the wait and offers to cancel the task.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib

from nervenet.cli.commands.cancel import cancel
from nervenet.cli.commands.following import finish
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import agents
from nervenet.cli.values import labels, read_json, span
from nervenet.clock import SYSTEM, uuid7
from nervenet.errors import NervenetError

SOON = 1.0
"""Seconds after which a task that nobody has taken is explained."""
LISTED = 12
"""The most capabilities that are named."""


def run(args: argparse.Namespace) -> int:
    limit = None if args.timeout is None else span(args.timeout, "--timeout")
    payload = {} if args.input is None else {"json": read_json(args.input)}
    tags = labels(args.label)

    async def work(context: CommandContext) -> int:
        response = await context.mesh.call(
            "RunTask",
            request_id=args.request_id or uuid7(SYSTEM.now_ms()),
            capability=args.capability,
            input=payload,
            labels=tags,
            payload_format="PAYLOAD_FORMAT_RAW",
        )
        explains = asyncio.create_task(_explain(context, response.workflow.workflow_id))
        try:
            return await finish(context, response.workflow, limit, answer=response)
        except asyncio.CancelledError:  # Ctrl-C
            await _offer_to_cancel(context, response.workflow.workflow_id)
            raise
        finally:
            explains.cancel()

    return ask_mesh(args, work)


async def _explain(context: CommandContext, workflow_id: str) -> None:
    """Say that nobody serves the capability, if that is why nothing happens."""
    if context.screen.json:
        return
    await asyncio.sleep(SOON)
    with contextlib.suppress(NervenetError):  # the wait itself reports what is wrong with the mesh
        served = await _served(context)
        if context.args.capability in served:
            return
        context.screen.complain(agents.nobody_serves(context.args.capability, _closest_first(context, served), LISTED))
        context.screen.note(f"{workflow_id} waits until an agent serves it. Ctrl-C ends the wait.")


async def _served(context: CommandContext) -> set[str]:
    served, token = set[str](), ""
    while True:
        page = await context.mesh.call("ListAgents", page_size=1000, page_token=token)
        served.update(each.name for one in page.agents for each in one.agent.capabilities)
        token = page.next_page_token
        if not token:
            return served


def _closest_first(context: CommandContext, served: set[str]) -> list[str]:
    close = difflib.get_close_matches(context.args.capability, sorted(served), n=3)
    return close + sorted(served - {*close})


async def _offer_to_cancel(context: CommandContext, workflow_id: str) -> None:
    """The task goes on without this command: ask whether it should."""
    screen = context.screen
    if not screen.interactive:
        screen.note(f"{workflow_id} goes on. To cancel it: nervenet cancel {workflow_id}")
        return
    if screen.ask(f"\nCancel {workflow_id}? [y/N] ").lower() in ("y", "yes"):
        await cancel(context, workflow_id)
    else:
        screen.note(f"{workflow_id} goes on. To wait for it: nervenet result {workflow_id}")
