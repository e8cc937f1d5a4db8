# SPDX-License-Identifier: Apache-2.0
"""`nervenet nodes list|drain`."""

from __future__ import annotations

import argparse

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import agents as render


def run_list(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("ListNodes", page_size=1000)
        screen = context.screen
        if args.json:
            screen.rows(response.nodes, response, "nodes")
        else:
            screen.lines(render.nodes(response, screen.view()))

    return ask_mesh(args, work)


def run_drain(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("DrainNode", node_id=args.id)
        if args.json:
            context.screen.message(response)
        context.screen.note(render.leaving(response, args.id))

    return ask_mesh(args, work)
