# SPDX-License-Identifier: Apache-2.0
"""`nervenet show`: one workflow with its steps; with `--journal` its entries too."""

from __future__ import annotations

import argparse

from nervenet.cli.render import events, timeline
from nervenet.cli.session import Session, ask_mesh


def run(args: argparse.Namespace) -> int:
    async def work(session: Session) -> None:
        response = await session.mesh.call(
            "GetWorkflow",
            workflow_id=args.id,
            payload_format="PAYLOAD_FORMAT_RAW",
            include_task_payloads=args.result,
        )
        screen = session.screen
        if args.json:
            screen.message(response)
        else:
            screen.lines(timeline.shown(response.workflow, screen.view(), inputs=args.input, results=args.result))
        if args.journal:
            await _journal(session)

    return ask_mesh(args, work)


async def _journal(session: Session) -> None:
    """Page by page; with `--json` each page is a message of its own."""
    screen, token = session.screen, ""
    while True:
        page = await session.mesh.call(
            "ListJournal", workflow_id=session.args.id, page_token=token, payload_format="PAYLOAD_FORMAT_RAW"
        )
        if screen.json:
            screen.message(page)
        else:
            screen.lines(events.event(entry, screen.view()) for entry in page.entries)
        token = page.next_page_token
        if not token:
            return
