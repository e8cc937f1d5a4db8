# SPDX-License-Identifier: Apache-2.0
"""`nervenet restart`: begin workflows again that are over or BLOCKED, each as a new run with the input of its last one."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.many import Verb, act_on_many
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import workflows


def run(args: argparse.Namespace) -> int:
    verb = Verb("restart", "restarted", ("FAILED", "TIMED_OUT", "BLOCKED"), _restart)
    return ask_mesh(args, lambda context: act_on_many(context, verb, args.ids))


async def _restart(context: CommandContext, workflow_id: str) -> None:
    """The run is named, so that a request that is sent again begins one run."""
    args, screen = context.args, context.screen
    before = await context.mesh.call("GetWorkflow", workflow_id=workflow_id, payload_format="PAYLOAD_FORMAT_OMIT")
    response = await context.mesh.call(
        "RestartWorkflow",
        workflow_id=workflow_id,
        run=before.workflow.run,
        version=args.version,
        reason=args.reason or "",
        requester=context.me(),
    )
    if args.json:
        screen.message(response)
    screen.note(workflows.restarted(response, workflow_id))
