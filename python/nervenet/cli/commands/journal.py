# SPDX-License-Identifier: Apache-2.0
"""`nervenet journal export`: a workflow's journal as the file that `replay` and the test kit read."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from typing import Any

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render.text import proto_json

PAGE = 1000


def run_export(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        found = await context.mesh.call("GetWorkflow", workflow_id=args.id, payload_format="PAYLOAD_FORMAT_OMIT")
        entries = [proto_json(entry) async for entry in entries_of(context, args.id)]
        about = f'{{"workflowId": {json.dumps(args.id)}, "run": {found.workflow.run}, "entries": ['
        context.screen.verbatim(about + ",".join(f"\n {entry}" for entry in entries) + "\n]}")

    return ask_mesh(args, work)


async def entries_of(context: CommandContext, workflow_id: str) -> AsyncIterator[Any]:
    """Every JournalEntry, with unchanged payload bytes."""
    token = ""
    while True:
        page = await context.mesh.call(
            "ListJournal",
            workflow_id=workflow_id,
            page_size=PAGE,
            page_token=token,
            payload_format="PAYLOAD_FORMAT_RAW",
        )
        for entry in page.entries:
            yield entry
        token = page.next_page_token
        if not token:
            return
