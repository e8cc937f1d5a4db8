# SPDX-License-Identifier: Apache-2.0
"""The replay check of a node in development: a second machine beside the loop's other work.

    found = await difference(coordinator.machine, entries, replay_process, watchdog)

The event loop also renews the lease and drives all other workflows. So the journal is folded here in slices of a few
milliseconds, then in the other process under another hash seed, if that one has the code. The machine that is checked
does not change meanwhile: its coordinator takes no entry before the answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM
from nervenet.durable.check import compare, refold, wanted_commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.durable import Machine
    from nervenet.node.guards.replay_process import ReplayProcess
    from nervenet.node.guards.watchdog import Watchdog
    from nervenet.records import Entry, Mismatch

SLICE: Final = 0.01
"""Seconds after which the loop's other work has its turn."""


async def difference(
    machine: Machine, entries: Sequence[Entry], replay_process: ReplayProcess, watchdog: Watchdog
) -> Mismatch | None:
    """How a second machine, from the same entries, differs from this one (None: not at all)."""
    again = machine
    async with replay_process.turn:  # a hundred slices between two looks at the sockets would be no slices
        began = SYSTEM.monotonic()
        for again in refold(
            machine.workflow, machine.workflow_id, machine.run, machine.payload_limit, entries, machine.codecs
        ):
            watchdog.leave()
            if again.blocked is not None:
                break
            if SYSTEM.monotonic() - began > SLICE:
                await asyncio.sleep(0)
                began = SYSTEM.monotonic()
            watchdog.enter(again)
        watchdog.leave()
    found = compare(machine, wanted_commands(again), len(entries))
    again.close()
    if found is None and (there := await replay_process.ask(machine, entries)) is not None:
        found = compare(machine, there, len(entries))
    return found
