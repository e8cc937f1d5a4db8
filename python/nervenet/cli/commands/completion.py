# SPDX-License-Identifier: Apache-2.0
"""`nervenet completion SHELL` prints a script that never changes; what it offers, `nervenet __complete` says.

Commands and flags come from the argument tables, ids and names from the mesh, which has 0.3 s to answer: completion is
silent where no node does. Where nothing is offered, the shell completes file names.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from nervenet.cli.arguments import COMMANDS, actions_of
from nervenet.cli.values import STATES

LIMIT: Final = 0.3

SCRIPTS: Final = {
    # bash splits words at : and = too, so it hands over the line
    "bash": """\
_nervenet() {
    local IFS=$'\\n'
    COMPREPLY=($(nervenet __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o bashdefault -o default -F _nervenet nervenet
""",
    "zsh": """\
#compdef nervenet
_nervenet() {
    local -a found
    found=("${(@f)$(nervenet __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _nervenet nervenet
""",
    "fish": """\
function __nervenet
    set -l found (nervenet __complete fish (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c nervenet -f -a '(__nervenet)'
""",
}


def run(args: argparse.Namespace) -> int:
    sys.stdout.write(SCRIPTS[args.shell])
    return 0


def run_complete(args: argparse.Namespace) -> int:
    """One candidate a line. `args.words`: the shell, then what stands behind `nervenet`, the word at the cursor last."""
    shell, *words = args.words
    if shell == "bash":
        words = _split(words[0] if words else "")
    current = words[-1] if words else ""
    found = sorted({one for one in offered(words or [""]) if one.startswith(current)})
    drop = max(current.rfind(":"), current.rfind("=")) + 1 if shell == "bash" else 0
    sys.stdout.write("".join(f"{one[drop:]}\n" for one in found))
    return 0


def _split(line: str) -> list[str]:
    """The words of bash's line up to the cursor, without the first; an open quote hides nothing."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return [*words[1:], ""] if line[-1:].isspace() else words[1:]


# ── which word it is ─────────────────────────────────────────────────────────────────────────────────────────────────


class Place(NamedTuple):
    """Where the cursor is: the command, what it takes there (None: nothing more), and the flags given before."""

    command: str
    takes: argparse.Action | None
    given: dict[str, str]


def offered(words: Sequence[str]) -> Iterable[str]:
    """Candidates for the last word, whether or not they begin like it."""
    *before, current = words
    first = next((word for word in _plain(before)), None)
    seconds = [name.split()[1] for name in _names() if " " in name and name.split()[0] == first]
    if first is None:
        return {name.split()[0] for name in _names()} if not current.startswith("-") else _flags("version")
    if seconds and not any(word in seconds for word in before):
        return seconds
    command = f"{first} {next(word for word in before if word in seconds)}" if seconds else first
    if command not in _names():
        return ()
    place = _place(command, before)
    if place.takes is None or (current.startswith("-") and not _is_value(place.takes)):
        return _flags(command) if current.startswith("-") else ()
    return _values(place, current)


def _names() -> list[str]:
    return [command.name for command in COMMANDS]


def _plain(words: Sequence[str]) -> Iterable[str]:
    """Without the common flags that may stand before the command."""
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in ("--address", "--namespace", "--color")
        else:
            yield word


def _flags(command: str) -> list[str]:
    return [flag for action in actions_of(command) for flag in action.option_strings if flag.startswith("--")]


def _is_value(action: argparse.Action) -> bool:
    return bool(action.option_strings)


def _place(command: str, words: Sequence[str]) -> Place:
    """`words` with the command's own among them: common flags may stand before those."""
    actions = actions_of(command)
    flags = {flag: action for action in actions for flag in action.option_strings}
    positional = [action for action in actions if not action.option_strings]
    given: dict[str, str] = {}
    seen, waits = -len(command.split()), None
    for word in words:
        if waits is not None:
            given[waits.dest], waits = word, None
        elif word.startswith("-") and len(word) > 1:
            action = flags.get(word)
            waits = action if action is not None and action.nargs != 0 else None
        else:
            seen += 1
    if waits is not None:
        return Place(command, waits, given)
    if seen < len(positional):
        return Place(command, positional[seen], given)
    last = positional[-1] if positional else None
    return Place(command, last if last is not None and last.nargs in ("*", "+") else None, given)


# ── what may stand there ─────────────────────────────────────────────────────────────────────────────────────────────


def _values(place: Place, current: str) -> Iterable[str]:
    action = place.takes
    assert action is not None
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.dest == "state":
        return _listed(current, STATES)
    kind = _KINDS.get(action.dest, "")
    if action.dest == "id":
        kind = (
            ""
            if action.option_strings
            else {"E": "escalations", "A": "agents", "NODE": "nodes"}.get(str(action.metavar), "ids")
        )
    if action.dest == "name" and place.command.startswith("definitions"):
        kind = "stored"
    if not kind:
        return ()
    found = _asked(kind, place)
    return _listed(current, found) if action.dest == "only" else found


_KINDS: Final = {
    "ids": "ids", "workflow": "ids", "definition": "definitions", "capability": "capabilities", "only": "capabilities",
}  # fmt: skip


def _listed(current: str, words: Iterable[str]) -> list[str]:
    """Behind the last comma."""
    head, comma, _ = current.rpartition(",")
    return [f"{head}{comma}{word}" for word in words]


def _asked(kind: str, place: Place) -> list[str]:
    from nervenet.client.raw import RawClient
    from nervenet.config import Config

    async def ask() -> list[str]:
        config = Config.load(address=place.given.get("address"), namespace=place.given.get("namespace"))
        async with RawClient(config) as mesh, asyncio.timeout(LIMIT):
            return await _ASK[kind](mesh, place.command)

    try:
        return asyncio.run(ask())
    except Exception:  # noqa: BLE001  # whatever is wrong, whoever presses Tab wants no message
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
