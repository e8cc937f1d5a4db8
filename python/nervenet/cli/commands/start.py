# SPDX-License-Identifier: Apache-2.0
"""`nervenet start`: start a workflow; with `--wait` follow it and print its result."""

from __future__ import annotations

import argparse
from typing import Any

from nervenet.cli.commands.following import finish
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import ExitCode, UsageError
from nervenet.cli.render import workflows
from nervenet.cli.values import labels, read_json, span
from nervenet.clock import new_workflow_id


def run(args: argparse.Namespace) -> int:
    if args.keep_waiting and not args.wait:
        raise UsageError("--keep-waiting needs --wait: it says what --wait does while the workflow is BLOCKED")
    if args.timeout is not None and not args.wait:
        raise UsageError("--timeout needs --wait: it limits how long --wait waits")
    if args.definition is None and args.file is None:
        raise UsageError("start: missing: NAME", "nervenet start NAME [INPUT], or nervenet start -f FILE [INPUT]")
    if args.file is not None:
        _shift(args)
    limit = None if args.timeout is None else span(args.timeout, "--timeout")
    payload = {} if args.input is None else {"json": read_json(args.input)}
    tags = labels(args.label)

    async def work(context: CommandContext) -> int | None:
        if args.file is not None:
            await _put(context)
        response = await context.mesh.call(
            "StartWorkflow",
            workflow_id=args.id or new_workflow_id(args.definition),
            definition=args.definition,
            version=args.version,
            input=payload,
            labels=tags,
            starter=context.me(),
            payload_format="PAYLOAD_FORMAT_RAW",
        )
        screen, found = context.screen, response.workflow
        screen.note(workflows.started(response))
        over = not response.created and workflows.ended_badly(found)
        if args.wait:
            code = await finish(context, found, limit, answer=response)
        else:
            code = await _show_id(context, response)
        if over and not args.json:  # the message says it
            screen.complain(workflows.begins_again(found))
        return ExitCode.FAILED if over else code

    return ask_mesh(args, work)


async def _show_id(context: CommandContext, response: Any) -> int:
    """The id, for scripts; and that it is BLOCKED, if it existed before."""
    screen, found = context.screen, response.workflow
    if screen.json:
        screen.message(response)
    else:
        screen.lines([found.workflow_id])
    if response.created or not found.HasField("blocked"):
        return ExitCode.DONE
    for line in () if screen.json else workflows.blocked(found, screen.view_of_notes()):
        screen.complain(line)
    return ExitCode.BLOCKED


def _shift(args: argparse.Namespace) -> None:
    """With a file, the first word after it is the input: the file has the name."""
    if args.input is not None or args.version:
        extra = "--version" if args.version else args.definition
        raise UsageError(f"start -f {args.file}: the file has name and version, so leave out {extra}")
    args.input = args.definition


async def _put(context: CommandContext) -> None:
    from nervenet.cli.commands.definitions import put  # YAML, for those who have a file

    args, stored = context.args, await put(context, context.args.file)
    args.definition, args.version = stored.definition.name, stored.definition.version
    if stored.created:
        context.screen.note(f"{args.definition} v{args.version} stored")
