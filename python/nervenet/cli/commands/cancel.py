# SPDX-License-Identifier: Apache-2.0
"""`nervenet cancel`: ask workflows to stop; they clean up first. Several at once are asked about."""

from __future__ import annotations

import argparse

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import Refused, UsageError
from nervenet.cli.render import workflows


def run(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        screen = context.screen
        if len(args.ids) > 1 and not args.yes:
            _confirm(context)
        for workflow_id in args.ids:
            response = await context.mesh.call(
                "CancelWorkflow", workflow_id=workflow_id, reason=args.reason or "", requester=context.me()
            )
            if args.json:
                screen.message(response)
            screen.note(workflows.canceled(response, workflow_id))

    return ask_mesh(args, work)


def _confirm(context: CommandContext) -> None:
    many = f"{len(context.args.ids)} workflows"
    if not context.screen.interactive:
        raise UsageError(f"cancel {many}: pass --yes to confirm (there is no terminal to ask)")
    if context.screen.ask(f"Cancel {many}? [y/N] ").lower() not in ("y", "yes"):
        raise Refused("nothing was canceled")
