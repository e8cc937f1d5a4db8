# SPDX-License-Identifier: Apache-2.0
"""The inputs of steps. No journal has them: it has digests, and the code makes the inputs again in every replay.

So a node that has the code replays the journal, beside whatever it hosts, and looks which steps the code asks for. Nothing is
sent or written. Code that does not fit the journal any more gives the inputs up to where the two disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from nervenet.durable import Machine
from nervenet.durable.declared import LANGUAGE
from nervenet.records import Start
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.placement import Placement
    from nervenet.records import Entry, Payload
    from nervenet.streams.heads import Head


CALLBACKS_AT_A_TIME: Final = 500
AT_A_TIME: Final = 100
"""Entries that are replayed without a pause: about 6 ms."""
AT_ONCE: Final = 4
"""Replays at the same time: what people ask must not slow down what runs."""


class StepInputs:
    """One for each node."""

    def __init__(self, context: NodeContext, placement: Placement, stored: StoredDefinitions) -> None:
        self._context = context
        self._placement = placement
        self._stored = stored
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def has_code(self, head: Head) -> bool:
        return self._placement.has(head.definition, head.version, head.runtime)

    async def find(self, workflow_id: str, head: Head, steps: Collection[str]) -> tuple[dict[str, Payload], str]:
        """The inputs of these steps, and why some are missing."""
        code = f"{head.definition} v{head.version} on {head.runtime}"
        if not self.has_code(head):
            return {}, f"no live node that can be asked has {code}"
        workflow = self._context.definitions.get((head.definition, head.version))
        if head.runtime == LANGUAGE:
            workflow = await self._stored.load(head.definition, head.version)
        if workflow is None:
            return {}, f"{code} is no longer stored"
        async with self._at_once:
            entries = await self._entries(workflow_id)
            context = self._context
            limit = context.config.payload_limit
            machine = Machine(workflow, workflow_id, head.run, log=_silent, payload_limit=limit, codecs=context.codecs)
            try:
                return await self._replay(machine, entries, set(steps))
            finally:
                machine.close()

    async def _entries(self, workflow_id: str) -> list[Entry]:
        entries: list[Entry] = []
        last = b""
        while page := await self._context.journal.read(workflow_id, last):
            if (blobs := self._context.blobs) is not None:
                reads = (blobs.read_entry(raw.name, raw.data, raw.n, raw.ms, workflow_id) for raw in page)
                entries += await asyncio.gather(*reads)
            for raw in page if blobs is None else ():
                self._context.codecs.look_for_keys_in(raw.data)
                entries.append(decode_entry(raw.name, raw.data, raw.n, raw.ms))
            last = page[-1].id
            await asyncio.sleep(0)
        return entries

    async def _replay(self, machine: Machine, entries: list[Entry], wanted: set[str]) -> tuple[dict[str, Payload], str]:
        if not entries or not isinstance(entries[0].body, Start):
            return {}, "its start cannot be read"
        found: dict[str, Payload] = {}
        machine.foresee(entries)
        watchdog = self._context.watchdog
        for count, entry in enumerate(entries, 1):
            watchdog.enter(machine)
            machine.apply(entry, replaying=True, most=CALLBACKS_AT_A_TIME)
            watchdog.leave()
            while machine.unfinished:
                await asyncio.sleep(0)
                watchdog.enter(machine)
                machine.go_on(CALLBACKS_AT_A_TIME)
                watchdog.leave()
            for step in wanted:
                asked = machine.pending.get(step) or machine.children.get(step)
                if asked is not None:
                    found[step] = asked.input
            wanted.difference_update(found)
            if not wanted or machine.blocked is not None:
                break
            if count % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return found, "" if machine.blocked is None else f"the code disagrees with the journal: {machine.blocked.note}"


def _silent(level: int, message: str) -> None:
    """Nothing is logged: the workflow has logged it when it ran."""
