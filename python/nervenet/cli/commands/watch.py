# SPDX-License-Identifier: Apache-2.0
"""`nervenet watch`: a workflow's events as they come, until it ends. The exit code says how it ended."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.following import blocked_now, follow
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import ExitCode
from nervenet.cli.render import events, workflows


def run(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> int:
        screen, code = context.screen, ExitCode.DONE
        async for response in follow(context, args.id, partials=args.partials):
            if args.json:
                screen.message(response)
            elif response.HasField("blocked"):
                if (found := await blocked_now(context, args.id)) is not None:
                    screen.lines(workflows.blocked(found, screen.view()))
                continue
            else:
                screen.lines([events.event(response.entry, screen.view())])
            close = events.close_of(response.entry)
            if close is not None and not events.ended_well(close):
                code = ExitCode.FAILED
        return code

    return ask_mesh(args, work)
