# SPDX-License-Identifier: Apache-2.0
"""Proves that a process is dead, so that its work continues elsewhere at once and not after its lease.

A lease takes seconds to expire. So each node holds two light streams, to the next two nodes on the ring of node ids, and
each agent holds one stream to a node anyway (its heartbeat). A stream that breaks is only a hint: the detector asks the
process' own address who answers. A refused connection, or an answer under another name, is proof. Then it writes a
tombstone and revokes the lease, and every node knows within milliseconds. Silence proves nothing: the lease decides.

An address proves something only to a node that has reached the process there before. This one rule covers what an address
cannot tell: 127.0.0.1 of another host, a wildcard, a translated and a filtered address all refuse, and none of them means
a death. So a node contacts processes while they are alive: an agent when its heartbeat arrives, the next eight nodes of
the ring when they appear. So the ring repairs itself at once when up to eight neighbours die together.

    successors("n-b", {"n-a", "n-b", "n-c"}, 2)  →  ["n-c", "n-a"]
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from nervenet.node.served import ProbeResult
from nervenet.registry.etcd import EtcdError
from nervenet.registry.tombstone import certify_death

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nervenet.node.context import NodeContext
    from nervenet.node.served import Contact
    from nervenet.registry.etcd import Etcd

_log = logging.getLogger(__name__)

FOLLOWED: Final = 2
MET: Final = 8
ASK_AGAIN: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses in seconds between questions while the answer is unclear: a dying process may still accept connections."""
FOLLOW_AGAIN: Final = 0.5


def successors(me: str, ids: Iterable[str], count: int) -> list[str]:
    """The next `count` ids on the ring. Each node is followed by as many nodes as it follows."""
    ring = sorted({*ids, me})
    at = ring.index(me)
    return [*ring[at + 1 :], *ring[:at]][:count]


def proves(answer: ProbeResult, address: str, *, shared: bool) -> bool:
    """Whether a process that was reached at the address before is dead. A DNS name that several use may lead to any of them."""
    if answer is ProbeResult.ANOTHER:
        return not (shared and _is_name(address))
    return answer is ProbeResult.REFUSED


def _is_name(address: str) -> bool:
    try:
        ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


class FailureDetector:
    """One for each node. A node that may be dead itself certifies nobody's death."""

    def __init__(self, context: NodeContext, etcd: Etcd) -> None:
        self._context = context
        self._etcd = etcd
        self._met: dict[str, str] = {}
        self._suspected: set[str] = set()
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._ring_changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<FailureDetector {self._context.status.node_id} follows {', '.join(self._followed) or 'nobody'}>"

    @property
    def _contact(self) -> Contact | None:
        served = self._context.status.served
        return None if served is None else served.contact

    # ── hints ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def stream_opened(self, agent_id: str) -> None:
        """An agent's heartbeat comes here from now on: contact it."""
        self._context.spawn(self._meet(agent_id))

    def stream_broke(self, agent_id: str) -> None:
        """An agent's heartbeat broke off: it is dead, or it has moved to another node."""
        self._context.spawn(self._suspect(agent_id))

    def registry_news(self, process_id: str, *, node: bool, removed: bool) -> None:
        """A process registered, changed or left."""
        if removed:
            self._met.pop(process_id, None)
        if node:
            self._ring_changed.set()

    # ── the ring ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Follow the next on the ring, for as long as the node lives."""
        async with asyncio.TaskGroup() as following:
            while True:
                self._ring_changed.clear()
                if self._contact is not None:
                    self._mend_ring(following)
                await self._ring_changed.wait()

    def _mend_ring(self, following: asyncio.TaskGroup) -> None:
        near = successors(self._context.status.node_id, self._context.table.nodes, MET)
        for node_id in self._followed.keys() - set(near[:FOLLOWED]):
            self._followed.pop(node_id).cancel()
        for node_id in near[:FOLLOWED]:
            if node_id not in self._followed:
                self._followed[node_id] = following.create_task(self._follow(node_id))
        for node_id in near[FOLLOWED:]:
            if node_id not in self._met:
                following.create_task(self._meet(node_id))

    async def _follow(self, node_id: str) -> None:
        assert self._contact is not None
        while address := self._address(node_id):
            if node_id in self._met:  # it may have died before we follow it
                await self._suspect(node_id)
            await self._contact.follow(address, node_id, lambda at=address: self._meets(node_id, at))  # type: ignore[misc]
            await self._suspect(node_id)
            await asyncio.sleep(FOLLOW_AGAIN)

    # ── meeting and asking ───────────────────────────────────────────────────────────────────────────────────────────

    def _address(self, process_id: str) -> str:
        """Its address in the registry; "" = not registered, or without an address."""
        table = self._context.table
        if (node := table.nodes.get(process_id)) is not None:
            return node.address
        agent = table.agents.get(process_id)
        return agent.control_endpoint if agent is not None else ""

    def _meets(self, process_id: str, address: str) -> None:
        self._met[process_id] = address

    async def _meet(self, process_id: str) -> None:
        """Find out whether this node can reach it at all. Its record may still be on its way to our table."""
        for pause in ASK_AGAIN:
            await asyncio.sleep(pause)
            if (address := self._address(process_id)) and await self._ask(process_id, address) is ProbeResult.ITSELF:
                self._meets(process_id, address)
                return

    async def _ask(self, process_id: str, address: str) -> ProbeResult:
        if self._contact is None:
            return ProbeResult.UNCLEAR
        return await self._contact.ask(address, process_id, node=process_id in self._context.table.nodes)

    async def _suspect(self, process_id: str) -> None:
        if process_id in self._suspected:
            return
        self._suspected.add(process_id)
        try:
            for pause in ASK_AGAIN:
                await asyncio.sleep(pause)
                if await self._settled(process_id):
                    return
        finally:
            self._suspected.discard(process_id)

    async def _settled(self, process_id: str) -> bool:
        """Ask once; False = ask again."""
        address = self._address(process_id)
        if not address or self._met.get(process_id) != address:
            return True
        answer = await self._ask(process_id, address)
        if not proves(answer, address, shared=self._shared(process_id, address)):
            return answer is not ProbeResult.UNCLEAR
        return await self._certify(process_id, f"{address}: {answer.value}")

    def _shared(self, process_id: str, address: str) -> bool:
        table = self._context.table
        return any(other != process_id and self._address(other) == address for other in (*table.agents, *table.nodes))

    async def _certify(self, process_id: str, reason: str) -> bool:
        table = self._context.table
        if not self._context.status.alive:
            return False
        try:
            lease = table.lease(process_id)
            await certify_death(
                self._etcd, table.layout, process_id, lease, reason=reason, by=self._context.status.node_id
            )
        except EtcdError as error:
            _log.warning("%s is dead, and etcd can't be told: %s", process_id, error)
            return False
        _log.info("%s is dead: %s", process_id, reason)
        return True
