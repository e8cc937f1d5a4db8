# SPDX-License-Identifier: Apache-2.0
"""`nervenet signal`: send a signal, once."""

from __future__ import annotations

import argparse

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import workflows
from nervenet.cli.values import read_json
from nervenet.clock import SYSTEM, uuid7


def run(args: argparse.Namespace) -> int:
    payload = {} if args.value is None else {"json": read_json(args.value, "VALUE")}
    request_id = args.request_id or uuid7(SYSTEM.now_ms())

    async def work(context: CommandContext) -> None:
        response = await context.mesh.call(
            "SignalWorkflow",
            workflow_id=args.id,
            signal=args.signal,
            payload=payload,
            request_id=request_id,
            sender=context.me(),
            undeclared=args.undeclared,
        )
        if args.json:
            context.screen.message(response)
        context.screen.note(workflows.signaled(response, args.id, args.signal))

    return ask_mesh(args, work)
