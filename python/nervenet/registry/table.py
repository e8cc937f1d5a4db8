# SPDX-License-Identifier: Apache-2.0
"""Each node's copy of the registry: agents, their load, nodes. It lists, then watches; reading costs a dict look-up.

    async with Table(etcd, "default") as table:      # entered = synced
        choice = table.pools.choose(require("classify"))
        table.on_change(lambda change: print(change.how, change.kind, change.id))

It is a cache. While etcd does not answer it keeps its content and `fresh` is False. Afterwards it catches up, and
reports the removals of that time like any others.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import re
from collections.abc import Callable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

from nervenet.clock import SYSTEM, Clock
from nervenet.registry.codec import PROTO_JSON, Decoders
from nervenet.registry.etcd import Changes, Etcd, EtcdRefused, EtcdUnavailable, KeyValue, Snapshot, Watch
from nervenet.registry.layout import AGENTS, LOAD, NODES, TOMBSTONES, Layout
from nervenet.registry.pools import Pools
from nervenet.registry.views import AgentView, LoadView, NodeView
from nervenet.supervision import supervise

log = logging.getLogger(__name__)

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""The form of a node's or an agent's id, which becomes part of keys in Redis."""

View: TypeAlias = AgentView | LoadView | NodeView


class ChangeKind(enum.StrEnum):
    """The cause of a change. EXPIRED: its lease ended, by time or by revocation; TOMBSTONED: its death was proven."""

    PUT = "put"
    LOAD = "load"
    EXPIRED = "removed-expired"
    TOMBSTONED = "removed-tombstoned"

    @property
    def removed(self) -> bool:
        return self in (ChangeKind.EXPIRED, ChangeKind.TOMBSTONED)


class TableChange(NamedTuple):
    """One change. `kind` is `agents`, `nodes` or `load`. `old` is None for a new record, `new` for a removed one."""

    kind: str
    id: str
    old: View | None
    new: View | None
    how: ChangeKind
    revision: int


class Table:
    """Start it with `async with`, which waits for the first list, or `start`. The callbacks run in its own task."""

    def __init__(
        self,
        etcd: Etcd,
        namespace: str,
        *,
        decoders: Decoders = PROTO_JSON,
        clock: Clock = SYSTEM,
        chance: random.Random | None = None,
    ) -> None:
        self.layout = Layout(namespace)
        self.agents: dict[str, AgentView] = {}
        self.loads: dict[str, LoadView] = {}
        self.nodes: dict[str, NodeView] = {}
        self.pools = Pools((chance or random.Random()).random)
        self.synced = asyncio.Event()
        self.revision = 0
        self._leases: dict[str, int] = {}
        self._tombstones: dict[str, bytes] = {}
        self._listeners: list[Callable[[TableChange], None]] = []
        self._decoders, self._clock = decoders, clock
        self._etcd = etcd
        self._watch: Watch = etcd.watch(self.layout.prefix)
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "fresh" if self.fresh else "not fresh"
        return f"<Table {self.layout.namespace} {len(self.nodes)} nodes, {len(self.agents)} agents, {state}>"

    @property
    def fresh(self) -> bool:
        """Whether etcd sends changes. If not, the content may be outdated, and no process may be declared dead by
        it."""
        return self._watch.live

    def lease(self, process_id: str) -> int:
        """The lease of its record; 0 if it has no record or no lease."""
        return self._leases.get(process_id, 0)

    def lives(self, process_id: str) -> bool:
        """Whether an agent or node of this id is registered."""
        return process_id in self.agents or process_id in self.nodes

    def answers(self, process_id: str) -> bool:
        """Whether it is alive and connected. An agent that its gateway has lost is STARTING again, so it is not."""
        agent = self.agents.get(process_id)
        return process_id in self.nodes if agent is None else not agent.away

    def tombstone(self, process_id: str) -> bytes | None:
        """The proof of its death, as JSON, while the tombstone exists."""
        return self._tombstones.get(process_id)

    def nodes_for(self, definition: str, version: int, runtime: str, *, draining: bool = False) -> list[NodeView]:
        """Nodes that may own a workflow of this definition."""
        return [
            node
            for node in self.nodes.values()
            if node.runs(definition, version, runtime) and (draining or node.state == "ACTIVE")
        ]

    def newer(self, node_ids: Iterable[str], release: tuple[int, ...]) -> list[str]:
        """The nodes among these that have a newer release than this one."""
        return [n for n in node_ids if (node := self.nodes.get(n)) is not None and node.release > release]

    def on_change(self, listener: Callable[[TableChange], None]) -> Callable[[], None]:
        """Call `listener` for each change, in order, after the table has it. Returns a function that ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None:
        """Wait for the first list. Raises EtcdRefused if etcd refuses it; waits as long as etcd does not answer."""
        self._task = asyncio.create_task(
            supervise(f"the registry's table of {self.layout.namespace}", self._follow, fatal=(EtcdRefused,)),
            name=f"registry-table-{self.layout.namespace}",
        )
        synced = asyncio.create_task(self.synced.wait())
        try:
            await asyncio.wait([self._task, synced], return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
        if not self.synced.is_set():
            await self._task

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()  # it has ended: raise its error

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _follow(self) -> None:
        """One try. Each try begins with a list, so that it misses nothing of a try that failed."""
        if self.synced.is_set():
            self._watch = self._etcd.watch(self.layout.prefix)
        try:
            async with aclosing(aiter(self._watch)) as items:
                async for item in items:
                    self._take(item)
        except EtcdRefused as refusal:
            if not self.synced.is_set():
                raise
            raise EtcdUnavailable(f"the list is refused: {refusal}", sent=True) from refusal

    def _take(self, item: Snapshot | Changes) -> None:
        if isinstance(item, Snapshot):
            self._compare(item)
            self.synced.set()
        else:
            for kv, deleted in item.changes:
                if deleted:
                    self._remove(*self.layout.split(kv.key), kv.mod_revision)
                else:
                    self._put(kv)
        self.revision = item.revision

    def _compare(self, snapshot: Snapshot) -> None:
        """Make the table equal to a snapshot. Removals come last, when all tombstones are known."""
        standing: dict[str, set[str]] = {AGENTS: set(), LOAD: set(), NODES: set(), TOMBSTONES: set()}
        for kv in sorted(snapshot.kvs, key=lambda kv: kv.mod_revision):
            kind, name = self.layout.split(kv.key)
            standing.setdefault(kind, set()).add(name)
            self._put(kv)
        for kind, known in ((LOAD, self.loads), (AGENTS, self.agents), (NODES, self.nodes)):
            for name in known.keys() - standing[kind]:
                self._remove(kind, name, snapshot.revision)
        self._tombstones = {name: proof for name, proof in self._tombstones.items() if name in standing[TOMBSTONES]}

    def _put(self, kv: KeyValue) -> None:
        kind, name = self.layout.split(kv.key)
        try:
            if not _ID.fullmatch(name):
                raise ValueError("it is no id of a process")
            self._store(kind, name, kv)
        except Exception as error:  # noqa: BLE001 - one unreadable record must not keep others from being read
            log.warning("%r makes no sense and is left out: %r", kv.key, error)
            self._remove(kind, name, kv.mod_revision)

    def _store(self, kind: str, name: str, kv: KeyValue) -> None:
        if kind == LOAD:
            load = self._decoders.load(name, kv.value)
            old_load, self.loads[name] = self.loads.get(name), load
            if load != old_load:
                self.pools.put_load(name, load, self._clock.now_ms())
                self._notify(TableChange(LOAD, name, old_load, load, ChangeKind.LOAD, kv.mod_revision))
        elif kind == AGENTS:
            agent = self._decoders.agent(name, kv.value)
            self._leases[name] = kv.lease
            old_agent, self.agents[name] = self.agents.get(name), agent
            if agent != old_agent:
                self._put_in_pools(agent, known=old_agent is not None)
                self._notify(TableChange(AGENTS, name, old_agent, agent, ChangeKind.PUT, kv.mod_revision))
        elif kind == NODES:
            node = self._decoders.node(name, kv.value)
            self._leases[name] = kv.lease
            old_node, self.nodes[name] = self.nodes.get(name), node
            if node != old_node:
                self._notify(TableChange(NODES, name, old_node, node, ChangeKind.PUT, kv.mod_revision))
        elif kind == TOMBSTONES:
            self._tombstones[name] = kv.value

    def _put_in_pools(self, agent: AgentView, *, known: bool) -> None:
        self.pools.put_agent(agent)
        load = self.loads.get(agent.id)
        if load is not None and not known:  # the two keys may arrive in any order
            self.pools.put_load(agent.id, load, self._clock.now_ms())

    def _remove(self, kind: str, name: str, revision: int) -> None:
        how = ChangeKind.TOMBSTONED if name in self._tombstones else ChangeKind.EXPIRED
        old: AgentView | NodeView | None = None
        if kind == LOAD:
            self.loads.pop(name, None)
        elif kind == TOMBSTONES:
            self._tombstones.pop(name, None)
        elif kind == AGENTS:
            old = self.agents.pop(name, None)
            self.pools.remove_agent(name)
        elif kind == NODES:
            old = self.nodes.pop(name, None)
        if old is not None:
            self._leases.pop(name, None)
            self._notify(TableChange(kind, name, old, None, how, revision))

    def _notify(self, news: TableChange) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(news)
            except Exception:
                log.exception("a listener failed on %s", news)
