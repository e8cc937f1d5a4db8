# SPDX-License-Identifier: Apache-2.0
"""`nervenet start`: start a workflow; with `--wait` follow it and print its result."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.following import finish
from nervenet.cli.failures import UsageError
from nervenet.cli.render import workflows
from nervenet.cli.session import Session, ask_mesh
from nervenet.cli.values import labels, read_json, span
from nervenet.clock import new_workflow_id


def run(args: argparse.Namespace) -> int:
    if args.timeout is not None and not args.wait:
        raise UsageError("--timeout says how long --wait waits: give both, or neither")
    limit = None if args.timeout is None else span(args.timeout, "--timeout")
    payload = {} if args.input is None else {"json": read_json(args.input)}
    tags = labels(args.label)

    async def work(session: Session) -> int | None:
        response = await session.mesh.call(
            "StartWorkflow",
            workflow_id=args.id or new_workflow_id(args.definition),
            definition=args.definition,
            version=args.version,
            input=payload,
            labels=tags,
            starter=session.me(),
            payload_format="PAYLOAD_FORMAT_RAW",
        )
        screen, found = session.screen, response.workflow
        screen.note(workflows.started(response))
        if args.wait:
            return await finish(session, found, limit, answer=response)
        if args.json:
            screen.message(response)
        else:
            screen.lines([found.workflow_id])
        return None

    return ask_mesh(args, work)
