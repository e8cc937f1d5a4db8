# SPDX-License-Identifier: Apache-2.0
"""`nervenet result`: wait for a workflow and print what came of it."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.following import finish
from nervenet.cli.session import Session, ask_mesh
from nervenet.cli.values import span


def run(args: argparse.Namespace) -> int:
    limit = None if args.timeout is None else span(args.timeout, "--timeout")

    async def work(session: Session) -> int:
        found = await session.mesh.call("GetWorkflow", workflow_id=args.id, payload_format="PAYLOAD_FORMAT_OMIT")
        return await finish(session, found.workflow, limit)

    return ask_mesh(args, work)
