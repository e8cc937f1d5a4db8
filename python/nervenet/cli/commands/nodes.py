# SPDX-License-Identifier: Apache-2.0
"""`nervenet nodes list|drain`."""

from __future__ import annotations

import argparse

from nervenet.cli.render import agents as render
from nervenet.cli.session import Session, ask_mesh


def run_list(args: argparse.Namespace) -> int:
    async def work(session: Session) -> None:
        response = await session.mesh.call("ListNodes", page_size=1000)
        screen = session.screen
        if args.json:
            screen.message(response)
        else:
            screen.lines(render.nodes(response, screen.view()))

    return ask_mesh(args, work)


def run_drain(args: argparse.Namespace) -> int:
    async def work(session: Session) -> None:
        response = await session.mesh.call("DrainNode", node_id=args.id)
        if args.json:
            session.screen.message(response)
        session.screen.note(render.leaving(response, args.id))

    return ask_mesh(args, work)
