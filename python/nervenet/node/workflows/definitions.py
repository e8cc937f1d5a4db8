# SPDX-License-Identifier: Apache-2.0
"""Workflows given as data: what this node has read from Redis. Any node runs any of them, and loads each at first use.

A version never changes. So what was read once is kept, and is written back to a Redis that has lost it. Code and data share
their names, and code goes first: a name that a live node has code for is not looked up here and cannot be stored
(`PutDefinition`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from nervenet.durable.declared import workflow_of
from nervenet.expressions import BadExpression
from nervenet.streams.definitions import DefinitionStore
from nervenet.wire import decode_declaration

if TYPE_CHECKING:
    from nervenet.definitions import Workflow
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.placement import Placement


class StoredDefinitions:
    """One for each node."""

    def __init__(self, context: NodeContext, placement: Placement) -> None:
        self._context = context
        self._placement = placement
        self.store = DefinitionStore(context.link, context.keys)
        self._read: dict[tuple[str, int], Workflow[Any, Any]] = {}
        self._data: dict[tuple[str, int], bytes] = {}
        self._highest: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<StoredDefinitions {len(self._read)} read>"

    def get(self, name: str, version: int) -> Workflow[Any, Any] | None:
        """What was read; version 0: the highest that there was when `find` looked last."""
        return self._read.get((name, version or self._highest.get(name, 0)))

    async def put(self, name: str, version: int, data: bytes) -> bytes | None:
        """None: it is stored. Else what is stored under that name and version already."""
        return await self._context.background.run_to_end(self._put(name, version, data))

    async def _put(self, name: str, version: int, data: bytes) -> bytes | None:
        there = await self.store.put(name, version, data)
        self._data[name, version] = data if there is None else there
        return there

    async def write_back(self) -> None:
        """Redis came back, and may have lost what runs here."""
        await asyncio.gather(*(self.store.put(*key, data) for key, data in self._data.items()))

    async def find(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Read what these starts need, if it is stored: those of a name that no live node has code for."""
        missing = {
            (name, version)
            for name, version in wanted
            if (name, version) not in self._read and "." not in name and not self._placement.highest_version(name)
        }
        if missing:
            await asyncio.gather(*(self.load(name, version) for name, version in missing))

    async def load(self, name: str, version: int = 0) -> Workflow[Any, Any] | None:
        """The workflow, read if it has to be; None: it is not stored. Raises LinkError."""
        if not version:
            version = next(iter(await self.store.versions(name)), 0)
            if version:  # names that nobody has come from callers: nothing is kept of them
                self._highest[name] = version
        found = self._read.get((name, version))
        if found is None and version:
            data = await self.store.get(name, version)
            found = self._understood(name, version, data) if data is not None else None
        return found

    def _understood(self, name: str, version: int, data: bytes) -> Workflow[Any, Any] | None:
        try:
            flow = self._read[name, version] = workflow_of(decode_declaration(data))
            self._data[name, version] = data
        except (BadExpression, DecodeError, ValueError, TypeError) as error:  # stored by a node of another version
            self._context.link.skips.skip(f"definition {name} v{version}", error)
            return None
        return flow
