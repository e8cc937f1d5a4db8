# SPDX-License-Identifier: Apache-2.0
"""`nervenet call`: one durable task without a workflow; the same request id is the same task, now and later."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.following import finish
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.values import labels, read_json, span
from nervenet.clock import SYSTEM, uuid7


def run(args: argparse.Namespace) -> int:
    limit = None if args.timeout is None else span(args.timeout, "--timeout")
    payload = {} if args.input is None else {"json": read_json(args.input)}
    tags = labels(args.label)

    async def work(context: CommandContext) -> int:
        response = await context.mesh.call(
            "RunTask",
            request_id=args.request_id or str(uuid7(SYSTEM.now_ms())),
            capability=args.capability,
            input=payload,
            labels=tags,
            payload_format="PAYLOAD_FORMAT_RAW",
        )
        return await finish(context, response.workflow, limit, answer=response)

    return ask_mesh(args, work)
