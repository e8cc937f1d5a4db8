# SPDX-License-Identifier: Apache-2.0
"""Completion in shells, by argcomplete: `nervenet completion SHELL` prints its script, which asks `nervenet` at each Tab.

Commands and flags come from the parser. Ids and names come from the mesh, which has 0.3 s to answer: if no node does, nothing
is offered and nothing is printed. File names are offered where a command takes a file.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import argcomplete
from argcomplete.completers import FilesCompleter, SuppressCompleter
from argcomplete.shell_integration import shellcode

from nervenet.cli.values import STATES

ANSWER_WITHIN: Final = 0.3
"""Seconds that the mesh has to answer."""


def run(args: argparse.Namespace) -> int:
    sys.stdout.write(shellcode(["nervenet"], shell=args.shell))
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks, and exit."""
    _attach(parser, "")
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=SuppressCompleter())


def _attach(parser: argparse.ArgumentParser, command: str) -> None:
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # nor a public name for this
            for name, child in action.choices.items():
                _attach(child, f"{command} {name}".strip())
        elif action.dest in _FILES:
            action.completer = FilesCompleter()  # type: ignore[attr-defined]  # as below
        elif action.dest == "state":
            action.completer = _states  # type: ignore[attr-defined]  # argcomplete's protocol
        elif kind := _kind(command, action):
            action.completer = partial(_names, kind, command)  # type: ignore[attr-defined]  # as above


def _states(*, prefix: str, **_: object) -> list[str]:
    return _listed(prefix, STATES)


def _kind(command: str, action: argparse.Action) -> str:
    """Which names of the mesh this argument takes; empty: none."""
    if action.dest == "id":
        return "" if action.option_strings else _IDS.get(str(action.metavar), "ids")
    if action.dest == "name" and command.startswith("definitions"):
        return "stored"
    return _KINDS.get(action.dest, "")


_FILES: Final = frozenset({"app", "data", "file", "journals", "ready_file"})
_IDS: Final = {"E": "escalations", "A": "agents", "NODE": "nodes"}
_KINDS: Final = {
    "ids": "ids", "workflow": "ids", "definition": "definitions", "capability": "capabilities", "only": "capabilities",
}  # fmt: skip


def _names(
    kind: str, command: str, *, prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: object
) -> list[str]:
    found = _asked(kind, command, parsed_args)
    return _listed(prefix, found) if action.dest == "only" else found


def _listed(current: str, words: Iterable[str]) -> list[str]:
    """The words after the last comma of a list."""
    head, comma, _ = current.rpartition(",")
    return [f"{head}{comma}{word}" for word in words]


def _asked(kind: str, command: str, args: argparse.Namespace) -> list[str]:
    from nervenet.client.raw import RawClient
    from nervenet.config import Config

    async def ask() -> list[str]:
        config = Config.load(address=getattr(args, "address", None), namespace=getattr(args, "namespace", None))
        async with RawClient(config) as mesh, asyncio.timeout(ANSWER_WITHIN):
            return await _ASK[kind](mesh, command)

    try:
        return asyncio.run(ask())
    except Exception:  # noqa: BLE001  # a person who presses Tab wants no message, whatever is wrong
        return []


async def _ids(mesh: Any, command: str) -> list[str]:
    open_only = ("RUNNING", "WAITING_FOR_HUMAN", "BLOCKED") if command in ("signal", "cancel") else ()
    states = [f"WORKFLOW_STATE_{state}" for state in open_only]
    answer = await mesh.call("ListWorkflows", page_size=200, states=states)
    return [workflow.workflow_id for workflow in answer.workflows]


async def _definitions(mesh: Any, _: str) -> list[str]:
    answer = await mesh.call("ListNodes", page_size=1000)
    names = {definition.name for node in answer.nodes for definition in node.definitions}
    names |= set(await _stored(mesh, _))
    return [name for name in names if not name.startswith("nervenet.")]


async def _stored(mesh: Any, _: str) -> list[str]:
    answer = await mesh.call("ListDefinitions", page_size=1000)
    return [definition.name for definition in answer.definitions]


async def _capabilities(mesh: Any, _: str) -> list[str]:
    answer = await mesh.call("ListAgents", page_size=1000)
    return [capability.name for listed in answer.agents for capability in listed.agent.capabilities]


async def _agents(mesh: Any, _: str) -> list[str]:
    answer = await mesh.call("ListAgents", page_size=1000)
    return [listed.agent.agent_id for listed in answer.agents]


async def _nodes(mesh: Any, _: str) -> list[str]:
    answer = await mesh.call("ListNodes", page_size=1000)
    return [node.node_id for node in answer.nodes]


async def _escalations(mesh: Any, _: str) -> list[str]:
    answer = await mesh.call("ListEscalations", page_size=200)
    return [escalation.escalation_id.removesuffix("#1") for escalation in answer.escalations]


_ASK: Final = {
    "ids": _ids, "definitions": _definitions, "capabilities": _capabilities, "agents": _agents, "nodes": _nodes,
    "escalations": _escalations, "stored": _stored,
}  # fmt: skip
