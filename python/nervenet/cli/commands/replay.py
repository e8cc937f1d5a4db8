# SPDX-License-Identifier: Apache-2.0
"""`nervenet replay`: replay journals with the current code, from files or of all open workflows. Changes nothing.

Exit code 1 when one disagrees: for CI (`nervenet replay app.py tests/journals/*.json`) and before a deploy
(`nervenet replay app.py --running`). Values are decoded with the codec of the settings.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nervenet import wire
from nervenet.cli.commands.app import load_app
from nervenet.cli.commands.journal import entries_of
from nervenet.cli.context import CommandContext, ask_mesh, screen, settings
from nervenet.cli.failures import ExitCode, UsageError
from nervenet.cli.render.replays import disagreement, summary
from nervenet.cli.render.text import millis
from nervenet.codecs import Codecs, open_codecs
from nervenet.definitions import Workflow
from nervenet.durable.check import blocked_text
from nervenet.errors import NotFound
from nervenet.records import Start
from nervenet.testing.journal import Journal, replayed

IN_FLIGHT = ("RUNNING", "WAITING_FOR_HUMAN", "BLOCKED", "CANCELING")
JOURNALS_AT_ONCE = 16


class ReplayedJournal(NamedTuple):
    """A journal that was replayed. `problem` is empty if it agrees with the code."""

    name: str
    problem: str


def run(args: argparse.Namespace) -> int:
    if bool(args.journals) == args.running:
        raise UsageError("replay needs either journal files or --running")
    mesh = _code(args.app, open_codecs(settings(args).codec))
    if not args.running:
        found = list(_files(mesh, args.journals))
        return _tell(args, found, "")

    async def work(context: CommandContext) -> int:
        running, strangers = await _in_flight(context, mesh)
        found = [replayed async for replayed in _running(context, mesh, running)]
        return _tell(args, found, context.config.namespace, strangers)

    return ask_mesh(args, work)


class ReplayedCode(NamedTuple):
    """What journals are replayed with: an app's workflows, or a workflow that a file gives as data."""

    name: str
    workflows: Mapping[tuple[str, int], Workflow[Any, Any]]
    codecs: Codecs


def _code(app: str, codecs: Codecs) -> ReplayedCode:
    if not app.endswith((".yaml", ".yml", ".json")):
        mesh = load_app(app)
        return ReplayedCode(f"mesh {mesh.name}", mesh.workflows, codecs)
    from nervenet.cli.files import read
    from nervenet.durable.declared import workflow_of

    file = read(app)
    declaration, problems = wire.declaration_from_json(file.data)
    if problems:
        raise file.refused(problems)
    flow = workflow_of(declaration)
    return ReplayedCode(app, {(flow.name, flow.version): flow}, codecs)


def _tell(args: argparse.Namespace, found: Sequence[ReplayedJournal], namespace: str, strangers: int = 0) -> int:
    out, bad = screen(args), [one for one in found if one.problem]
    for one in found if args.json else bad:
        if args.json:
            out.verbatim(json.dumps({"journal": one.name, "agrees": not one.problem, "problem": one.problem}))
        else:
            out.lines([*disagreement(one.name, one.problem), ""])
    out.note(summary(args.app, len(found), len(bad), namespace, strangers))
    return ExitCode.FAILED if bad else ExitCode.DONE


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _files(mesh: ReplayedCode, paths: Sequence[str]) -> Iterator[ReplayedJournal]:
    for path in paths:
        try:
            journal = Journal.load(Path(path))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} is not a journal: {error}",
                "nervenet journal export ID > FILE, or run.journal.dump(FILE) in a test",
            ) from None
        yield ReplayedJournal(path, _against(mesh, journal))


def _against(mesh: ReplayedCode, journal: Journal) -> str:
    """What is wrong with the journal, in words."""
    start = journal.entries[0].body if journal.entries else None
    if not isinstance(start, Start):
        return "it does not begin with a start entry"
    workflow = mesh.workflows.get((start.definition, start.version))
    if workflow is None:
        return _missing(mesh, start.definition, start.version)
    machine, at = replayed(workflow, journal, mesh.codecs)
    words = "" if machine.blocked is None else blocked_text(machine, machine.blocked, at)
    machine.close()
    return words


def _missing(mesh: ReplayedCode, definition: str, version: int) -> str:
    versions = sorted(v for name, v in mesh.workflows if name == definition)
    there = f"only v{', v'.join(map(str, versions))}" if versions else "no workflow with this name"
    return f"it is of {definition} v{version}, and {mesh.name} has {there}: it would wait for a node with that code"


# ── what is in flight ────────────────────────────────────────────────────────────────────────────────────────────────


async def _in_flight(context: CommandContext, mesh: ReplayedCode) -> tuple[list[Any], int]:
    """Open workflows of this mesh's definitions, and how many others there are: those belong to other meshes."""
    names = {name for name, _ in mesh.workflows}
    ours: list[Any] = []
    strangers, token = 0, ""
    while True:
        page = await context.mesh.call(
            "ListWorkflows",
            page_size=1000,
            page_token=token,
            states=[f"WORKFLOW_STATE_{state}" for state in IN_FLIGHT],
        )
        mine = [one for one in page.workflows if one.definition in names]
        ours += mine
        strangers += len(page.workflows) - len(mine)
        token = page.next_page_token
        if not token:
            return ours, strangers


async def _running(
    context: CommandContext, mesh: ReplayedCode, running: Sequence[Any]
) -> AsyncIterator[ReplayedJournal]:
    """Fetch some journals while others are replayed. Workflows that end meanwhile are left out."""
    for at in range(0, len(running), JOURNALS_AT_ONCE):
        journals = await asyncio.gather(*(_fetched(context, one) for one in running[at : at + JOURNALS_AT_ONCE]))
        for journal in journals:
            if journal is not None:
                yield ReplayedJournal(journal.workflow_id, _against(mesh, journal))


async def _fetched(context: CommandContext, workflow: Any) -> Journal | None:
    try:
        entries = [
            wire.decode_entry(entry.name, entry.SerializeToString(), entry.sequence, millis(entry.time))
            async for entry in entries_of(context, workflow.workflow_id)
        ]
    except NotFound:
        return None
    return Journal(workflow.workflow_id, workflow.run, entries)
