# SPDX-License-Identifier: Apache-2.0
"""The replay check: does this code still do what its journal recorded? And the description of a difference.

It has three users. The test kit and `nervenet dev` fold journals again and compare; a difference means code that is not
deterministic (`random`, `time.time()`, iteration over sets of strings). `replay` checks recorded journals with the
present code. A BLOCKED run shows the two columns.

The test kit folds after each entry (`worth_checking`). A node checks rarely: all checks of a run together fold three
times its journal (`is_due`). It folds a few entries at a time (`refold`), because other workflows share its thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, NamedTuple

from nervenet.codecs import PLAIN, Codecs
from nervenet.definitions import Workflow
from nervenet.durable.changed_environment import changed_environment
from nervenet.durable.commands import Command, Dispatch
from nervenet.durable.machine import Machine
from nervenet.records import Entry, Mismatch


def rebuild(
    workflow: Workflow[Any, Any], workflow_id: str, run: int, entries: Iterable[Entry], codecs: Codecs = PLAIN
) -> Machine:
    """The machine after these entries, as a node builds it after a crash."""
    machine, journal = Machine(workflow, workflow_id, run, codecs=codecs), tuple(entries)
    machine.foresee(journal)
    for entry in journal:
        machine.apply(entry, replaying=True)
    return machine


KIT_CHECKS_UNTIL = 1_000
"""The number of entries after which the test kit stops checking, because it folds the whole journal each time."""
KIT_CHECKS_EACH_UNTIL = 100
"""Up to this number of entries the test kit checks after each entry; later less and less often."""
NODE_CHECKS_EACH_UNTIL = 16
"""Up to this number of entries a node checks after each entry: most mistakes appear there, before they have an
effect."""
ENTRIES_PER_STEP = 10
"""Entries that `refold` folds before it yields. Changing the environment costs about as much as folding two."""


NOT_DETERMINISTIC = (
    "The same code on the same journal asked for two different things: it depends on what is not in its journal, as "
    "chance, a clock, the environment, a set's order or a global. Use ctx.random, ctx.now(), ctx.uuid() and sorted(…), "
    "or ask an agent."
)


def worth_checking(n: int) -> bool:
    """Whether the test kit checks after the n-th entry of a run."""
    return n <= KIT_CHECKS_UNTIL and n % (1 + n // KIT_CHECKS_EACH_UNTIL) == 0


def is_due(n: int, *, ends: bool) -> bool:
    """Whether a node checks after the n-th entry of a run: when the journal has doubled, and when the code has
    ended."""
    return ends or n <= NODE_CHECKS_EACH_UNTIL or n & (n - 1) == 0


def refold(
    workflow: Workflow[Any, Any],
    workflow_id: str,
    run: int,
    payload_limit: int,
    entries: Iterable[Entry],
    codecs: Codecs = PLAIN,
) -> Iterator[Machine]:
    """A second machine from these entries, yielded before the first and after every ENTRIES_PER_STEP of them.

    It runs in a changed environment, so that code which reads that, instead of its journal, is found.
    """
    again, journal = Machine(workflow, workflow_id, run, payload_limit=payload_limit, codecs=codecs), tuple(entries)
    again.foresee(journal)
    yield again
    for at in range(0, len(journal), ENTRIES_PER_STEP):
        with changed_environment(len(journal) + at):
            for entry in journal[at : at + ENTRIES_PER_STEP]:
                again.apply(entry, replaying=True)
        yield again


def replay_check(machine: Machine, entries: Sequence[Entry]) -> tuple[Machine, Mismatch | None]:
    """A second machine from the same entries, and its difference from the first (None: no difference)."""
    *_, again = refold(
        machine.workflow, machine.workflow_id, machine.run, machine.payload_limit, entries, machine.codecs
    )
    return again, compare(machine, wanted_commands(again), len(entries))


class WantedCommands(NamedTuple):
    """The state of a machine as a value, which may come from another process."""

    blocked: Mismatch | None
    commands: list[Command]
    lines: dict[str, str]  # of the pending steps


def wanted_commands(machine: Machine) -> WantedCommands:
    lines = {step: str(call.site) for step, call in machine.pending.items()}
    commands = [machine.codecs.decode_within(command) for command in machine.outstanding()]
    return WantedCommands(machine.blocked, commands, lines)


def compare(machine: Machine, again: WantedCommands, agreed: int) -> Mismatch | None:
    """The difference of a second machine with the same entries from this one (None: no difference)."""
    if again.blocked is not None:
        if again.blocked.error:  # the first machine had none at this point
            return replace(again.blocked, detail=f"{again.blocked.detail}{NOT_DETERMINISTIC}")
        return replace(again.blocked, detail=again.blocked.detail or NOT_DETERMINISTIC)
    wanted = wanted_commands(machine)
    first = _difference(wanted.commands, again.commands)
    if first is None:
        return None
    ours, theirs = first
    lines = {**wanted.lines, **again.lines}
    steps = (getattr(side, "step", "") for side in (theirs, ours))
    where = next((lines[step] for step in steps if step in lines), "")
    hide = machine.codecs.encode_text
    return Mismatch(hide(_words(ours)), hide(_words(theirs)), where, agreed, NOT_DETERMINISTIC)


def blocked_text(machine: Machine, mismatch: Mismatch, at: Entry | None = None) -> str:
    """The two columns, for people."""
    flow = machine.workflow
    since = f" since {_clock(at.time_ms)}" if at is not None else ""
    if mismatch.error:
        head = f"{machine.workflow_id} is BLOCKED by an error in its code{since} ({flow.name} v{flow.version}"
        where = f"{mismatch.where}: " if mismatch.where else ""
        return f"{head})\n{where}{mismatch.error}\n{mismatch.detail.rstrip()}\n{mismatch.cure} {machine.workflow_id}"
    where = f", {mismatch.where}" if mismatch.where else ""
    left, right = "the journal has", "this code asks for"
    number = f"{at.n if at is not None else mismatch.agreed + 1:>2} "
    has = mismatch.expected + (f" {_clock(at.time_ms)}" if at is not None else "")
    width = max(len(left), len(has))
    agreed = "1 step before it agrees" if mismatch.agreed == 1 else f"{mismatch.agreed} steps before it agree"
    lines = [
        f"{machine.workflow_id} is BLOCKED: the code and the journal disagree{since} ({flow.name} v{flow.version}{where})",
        f"   {left:<{width}}     {right}    ({agreed})",
        f"{number}{has:<{width}}  ≠  {mismatch.found}",
        mismatch.detail.rstrip() or mismatch.cure,
    ]
    return "\n".join(lines)


def blocking_error(machine: Machine, at: Entry) -> BaseException:
    """What a test raises for a run that is blocked: its programming error, with these words as a note; else these words."""
    assert machine.blocked is not None
    words, error = blocked_text(machine, machine.blocked, at), machine.error
    if error is None:
        return AssertionError(words)
    error.add_note(words)
    return error


def _difference(first: list[Command], second: list[Command]) -> tuple[Command | None, Command | None] | None:
    for pair in zip_longest(first, second):
        if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
            return pair
    return None


def _words(command: Command | None) -> str:
    if command is None:
        return "nothing more"
    if isinstance(command, Dispatch):
        given = command.input.data[:60].decode(errors="replace")
        return f"task:{command.step} #{command.attempt} {command.capability}({given})"
    return repr(command)


def _clock(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%H:%M:%S")
