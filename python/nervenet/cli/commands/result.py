# SPDX-License-Identifier: Apache-2.0
"""`nervenet result`: wait for a workflow and print what came of it."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.following import finish
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.values import span


def run(args: argparse.Namespace) -> int:
    limit = None if args.timeout is None else span(args.timeout, "--timeout")

    async def work(context: CommandContext) -> int:
        found = await context.mesh.call("GetWorkflow", workflow_id=args.id, payload_format="PAYLOAD_FORMAT_OMIT")
        return await finish(context, found.workflow, limit)

    return ask_mesh(args, work)
