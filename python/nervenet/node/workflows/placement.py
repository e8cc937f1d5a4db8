# SPDX-License-Identifier: Apache-2.0
"""Which nodes can run a workflow: those that have its code, or for a workflow given as data those that know the language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.durable import PYTHON
from nervenet.durable.declared import LANGUAGE
from nervenet.node.workflows.builtin import DECLARED
from nervenet.registry.rendezvous import rendezvous

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.streams.heads import Head

MOST_REMEMBERED = 10_000
"""Answers about definitions that are kept at most: their names come from callers."""


class Placement:
    """One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self._status = context.status
        self._table = context.table
        self._definitions = context.definitions
        self._others: dict[tuple[str, int, str], list[str]] = {}
        self._highest: dict[str, int] = {}

    def has(self, definition: str, version: int, runtime: str = PYTHON) -> bool:
        """Whether this node can run it."""
        found = self._definitions.get((DECLARED, 1) if runtime == LANGUAGE else (definition, version))
        return found is not None and found.runtime == runtime

    def able(self, definition: str, version: int, runtime: str = PYTHON) -> list[str]:
        """The nodes that could own such a workflow now, this one among them."""
        if runtime == LANGUAGE:  # any node that knows the language
            definition, version = DECLARED, 1
        key = (definition, version, runtime)
        others = self._others.get(key)
        if others is None:
            if len(self._others) >= MOST_REMEMBERED:
                self._others.clear()
            found = self._table.nodes_for(*key)
            others = self._others[key] = [node.id for node in found if node.id != self._status.node_id]
        if not self._status.draining and self.has(definition, version, runtime):
            return [*others, self._status.node_id]
        return others

    def highest_version(self, name: str) -> int:
        """Of all live nodes; 0 = nobody has the definition."""
        highest = self._highest.get(name)
        if highest is None:
            if len(self._highest) >= MOST_REMEMBERED:
                self._highest.clear()
            versions = [v for n, v in self._definitions if n == name]
            versions += [d.version for node in self._table.nodes.values() for d in node.definitions if d.name == name]
            highest = self._highest[name] = max(versions, default=0)
        return highest

    def nodes_changed(self) -> None:
        """A node came, changed or went, or this one has a new id: forget the answers."""
        self._others.clear()
        self._highest.clear()

    def belongs_to(self, workflow_id: str, head: Head) -> str | None:
        """Which node adopts a workflow whose owner is gone."""
        return rendezvous(workflow_id, self.able(head.definition, head.version, head.runtime))
