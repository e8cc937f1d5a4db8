# SPDX-License-Identifier: Apache-2.0
"""`nervenet definitions`: workflows as data that are stored in the mesh."""

from __future__ import annotations

import argparse
from typing import Any

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.files import read
from nervenet.cli.render import definitions as render
from nervenet.errors import InvalidRequest
from nervenet.wire import declaration_from_json, definition_from_json


def run_list(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("ListDefinitions", name=args.name or "", page_size=1000)
        screen = context.screen
        if args.json:
            screen.rows(response.definitions, response, "definitions")
            return
        screen.lines(render.listed(response, screen.view()))
        screen.note(*render.counted(response, context.config.namespace))

    return ask_mesh(args, work)


def run_show(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("GetDefinition", name=args.name, version=args.version)
        if args.json:
            context.screen.message(response)
        else:
            context.screen.verbatim(render.as_yaml(response.definition))

    return ask_mesh(args, work)


def run_put(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await put(context, args.file, check=args.check)
        if args.json:
            context.screen.message(response)
        else:
            context.screen.note(render.put(response, check=args.check))

    return ask_mesh(args, work)


async def put(context: CommandContext, file: str, *, check: bool = False) -> Any:
    """Store the definition in a file. Raises InvalidRequest, which has the line number of each problem."""
    source = read(file)
    definition, unread = definition_from_json(source.data)
    if unread:  # no node is asked: what else is wrong is found here
        _, problems = declaration_from_json(source.data)
        raise source.refused([(f"definition.{path}".rstrip("."), words) for path, words in problems])
    try:
        return await context.mesh.call("PutDefinition", definition=definition, validate_only=check)
    except InvalidRequest as error:
        raise source.refused(error.fields) if error.fields else error from None
