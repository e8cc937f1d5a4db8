# SPDX-License-Identifier: Apache-2.0
"""`nervenet top`: the mesh on one screen, drawn again every two seconds.

Keys: `q` ends, `s` changes the order, `/` begins a filter, which Return ends and Escape drops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final

from rich.text import Text

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import ExitCode
from nervenet.cli.keyboard import keys
from nervenet.cli.render import top as render
from nervenet.cli.render.top import ORDERS, Snapshot, Wish
from nervenet.cli.values import span
from nervenet.errors import NervenetError
from nervenet.v1 import coordinator_service_pb2 as service

OPEN: Final = ("RUNNING", "WAITING_FOR_HUMAN", "BLOCKED", "CANCELING")
MOST_WORKFLOWS: Final = 200
ESCAPE, RETURN, BACKSPACE = "\x1b", ("\r", "\n"), ("\x7f", "\b")
LONGEST_WAIT: Final = 5.0


def run(args: argparse.Namespace) -> int:
    every = span(args.every, "--every")
    wish = Wish(args.sort, args.filter)

    async def work(context: CommandContext) -> int:
        if args.once or args.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return await _once(context, wish)
        await _Live(context, wish, every).run()
        return ExitCode.DONE

    return ask_mesh(args, work)


async def _once(context: CommandContext, wish: Wish) -> int:
    found, screen = await _ask(context), context.screen
    if context.args.json:
        screen.verbatim(json.dumps(render.as_json(found, wish), ensure_ascii=False))
    else:
        screen.lines(render.frame(found, screen.view(), wish))
    return ExitCode.UNREACHABLE if found.problem else ExitCode.DONE


async def _ask(context: CommandContext) -> Snapshot:
    """Everything for one frame, at the same time. Without Redis, nodes still say who is alive."""
    mesh, limit = context.mesh, {"timeout": LONGEST_WAIT}
    states = [f"WORKFLOW_STATE_{state}" for state in OPEN]
    shown = {"page_size": MOST_WORKFLOWS, "include_waits": True, "include_counts": True}
    nodes, agents, (workflows, unknown), (questions, _) = await asyncio.gather(
        mesh.call("ListNodes", page_size=1000, **limit),
        mesh.call("ListAgents", page_size=1000, include_ejections=True, **limit),
        _or_problem(mesh.call("ListWorkflows", states=states, **shown, **limit)),
        _or_problem(mesh.call("ListEscalations", page_size=1, **limit)),
    )
    return Snapshot(
        context.config.namespace,
        nodes,
        agents,
        workflows or service.ListWorkflowsResponse(),
        questions.open_count if questions is not None else 0,
        unknown,
    )


async def _or_problem(answer: Awaitable[Any]) -> tuple[Any, str]:
    """The answer, or why there is none."""
    try:
        return await answer, ""
    except (NervenetError, TimeoutError) as error:
        return None, str(error) or f"no answer within {LONGEST_WAIT:g} s"


class _Live:
    """The screen that follows the mesh until `q` or Ctrl-C. A mesh that does not answer is said in the last line; the frame before
    stays."""

    def __init__(self, context: CommandContext, wish: Wish, every: float) -> None:
        self._context, self._wish, self._every = context, wish, every
        self._found: Snapshot | None = None
        self._problem = ""
        self._typing = False

    async def run(self) -> None:
        screen = self._context.screen
        with screen.full(), keys() as pressed:
            tasks = {asyncio.create_task(self._follow()), asyncio.create_task(self._listen(pressed))}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    async def _listen(self, pressed: asyncio.Queue[str]) -> None:
        """Until `q`, which is a letter like any other in a filter."""
        while (key := await pressed.get()) != "q" or self._typing:
            self._press(key)
            self._draw()

    async def _follow(self) -> None:
        while True:
            try:
                self._found, self._problem = await _ask(self._context), ""
            except (NervenetError, TimeoutError) as error:
                self._problem = f"no answer: {error}" if str(error) else "no answer"
            self._draw()
            await asyncio.sleep(self._every)

    def _press(self, key: str) -> None:
        wish = self._wish
        if self._typing:
            if key in RETURN:
                self._typing = False
            elif key == ESCAPE:
                self._typing, self._wish = False, replace(wish, filter="")
            else:
                self._wish = replace(wish, filter=wish.filter[:-1] if key in BACKSPACE else wish.filter + key)
        elif key == "/":
            self._typing = True
        elif key == ESCAPE:
            self._wish = replace(wish, filter="")
        elif key == "s":
            self._wish = replace(wish, order=ORDERS[(ORDERS.index(wish.order) + 1) % len(ORDERS)])

    def _draw(self) -> None:
        screen = self._context.screen
        room = screen.height - 2  # the last line keeps the cursor
        lines = [] if self._found is None else render.frame(self._found, screen.view(), self._wish, room)
        lines += [Text()] * (room - len(lines))
        screen.frame([*lines, self._footer()])

    def _footer(self) -> Text:
        if self._problem:
            return Text(self._problem, style="red")
        wish = self._wish
        if self._typing:
            return Text(f"filter: {wish.filter}▏  Return keeps it, Escape drops it")
        kept = f"   filter: {wish.filter} (Escape drops it)" if wish.filter else ""
        return Text(f"q quit   s order: {wish.order}   / filter{kept}", style="dim")
