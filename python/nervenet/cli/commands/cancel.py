# SPDX-License-Identifier: Apache-2.0
"""`nervenet cancel`: ask workflows to stop; they clean up first. Several at once are asked about."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.many import Verb, act_on_many
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import workflows


def run(args: argparse.Namespace) -> int:
    verb = Verb("cancel", "canceled", ("RUNNING", "WAITING_FOR_HUMAN", "BLOCKED"), cancel)
    return ask_mesh(args, lambda context: act_on_many(context, verb, args.ids))


async def cancel(context: CommandContext, workflow_id: str) -> None:
    """Ask one workflow to stop."""
    args, screen = context.args, context.screen
    response = await context.mesh.call(
        "CancelWorkflow",
        workflow_id=workflow_id,
        reason=getattr(args, "reason", None) or "",
        requester=context.me(),
    )
    if args.json:
        screen.message(response)
    screen.note(workflows.canceled(response, workflow_id))
