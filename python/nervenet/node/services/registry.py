# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802  # methods carry the contract's names
"""RegistryService: who is alive, what they can do, how busy they are. Written to etcd, read from the table.

Agents need no credentials of etcd: any node registers them, under a lease that is the agent's own and that any node
keeps by its heartbeats.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final

from nervenet.config import split_host_port
from nervenet.errors import InvalidRequest
from nervenet.node.services.heartbeats import Heartbeats
from nervenet.node.services.pages import Room, page_size, token_in, token_out
from nervenet.node.services.queued import Queued
from nervenet.node.services.records import agent_record, entry_of, load_of, node_record
from nervenet.redis_link.faults import LinkError
from nervenet.registry.etcd import LeaseNotFound
from nervenet.registry.selection import require
from nervenet.registry.table import ChangeKind, TableChange
from nervenet.registry.views import AgentView
from nervenet.rpc.status import invalid, not_found
from nervenet.security import subject_of_caller
from nervenet.streams.keys import check_name
from nervenet.timing import AGENT_LEASE, WATCH_KEEP_ALIVE
from nervenet.v1 import agent_pb2
from nervenet.v1 import registry_service_pb2 as pb
from nervenet.wire import duration, policy_in, timestamp, to_json

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.recovery.failure_detector import FailureDetector
    from nervenet.node.services.ejections import Ejections
    from nervenet.node.services.peers import Peers
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.registry.etcd import Etcd
    from nervenet.registry.leases import AgentLeases


_AGENT_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}-[a-z2-7]{8}")
KEPT_NEWS: Final = 1_000


class Registry:
    """The servicer. `close` ends its listening."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        etcd: Etcd,
        leases: AgentLeases,
        death: FailureDetector,
        peers: Peers,
        ejections: Ejections,
        drain: Callable[[], Coroutine[Any, Any, None]],
        stopping: asyncio.Event,
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._peers = peers
        self._ejections = ejections
        self._drain = drain
        self._etcd = etcd
        self._table = context.table
        self._stopping = stopping
        self._leases = leases
        self._heartbeats = Heartbeats(etcd, leases, context.table, death, stopping)
        self._queued = Queued(context)
        self._since = context.table.revision
        self._kept: deque[TableChange] = deque(maxlen=KEPT_NEWS)
        self._watchers: set[asyncio.Event] = set()
        self._leave = context.table.on_change(self._changed)

    def close(self) -> None:
        self._leave()
        for news in self._watchers:
            news.set()

    @property
    def heartbeats(self) -> Heartbeats:
        return self._heartbeats

    # ── registering ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def RegisterAgent(self, request: pb.RegisterAgentRequest, context: Any) -> pb.RegisterAgentResponse:
        record = agent_pb2.AgentRecord()
        record.CopyFrom(request.agent)
        _check_record(record)
        record.subject = subject_of_caller()
        if not record.HasField("register_time"):
            record.register_time.CopyFrom(timestamp(self._context.clock.now_ms()))  # type: ignore[arg-type]  # it is set
        lease = request.lease_id
        try:
            if lease:
                await self._leases.keep_alive(lease)
            else:
                lease = await self._leases.grant(AGENT_LEASE)
            await self._etcd.put(self._table.layout.agent(record.agent_id), to_json(record), lease=lease)
        except LeaseNotFound:
            raise not_found("lease", str(lease), "that lease is gone: register under a new agent_id") from None
        return pb.RegisterAgentResponse(
            lease_id=lease,
            ttl=duration(AGENT_LEASE * 1000),
            heartbeat_interval=duration(AGENT_LEASE * 1000 // 3),
            node_id=self._context.status.node_id,
        )

    async def Heartbeat(
        self, requests: AsyncIterator[pb.HeartbeatRequest], context: Any
    ) -> AsyncIterator[pb.HeartbeatResponse]:
        async with aclosing(self._heartbeats.run(requests)) as answers:
            async for answer in answers:
                yield answer

    async def DeregisterAgent(self, request: pb.DeregisterAgentRequest, context: Any) -> pb.DeregisterAgentResponse:
        stored = await self._etcd.get(self._table.layout.agent(request.agent_id))
        if stored is not None and stored.lease != request.lease_id:
            raise invalid("lease_id", f"not the lease of {request.agent_id}")
        if request.lease_id:
            await self._leases.revoke(request.lease_id)
        return pb.DeregisterAgentResponse()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def GetAgent(self, request: pb.GetAgentRequest, context: Any) -> pb.GetAgentResponse:
        agent = self._table.agents.get(request.agent_id)
        if agent is None:
            raise not_found("agent", request.agent_id)
        return pb.GetAgentResponse(agent=entry_of(self._table, agent))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsResponse:
        size = page_size(request.page_size)
        cursor = token_in(request, str)
        states = {agent_pb2.AgentState.Name(state).removeprefix("AGENT_STATE_") for state in request.states}
        fitting = [
            agent
            for _, agent in sorted(self._table.agents.items())
            if (cursor is None or agent.id > cursor[0])
            and (not request.capability or request.capability in agent.capabilities)
            and (not states or agent.state in states)
            and _carries(agent, request.capability, request.labels)
        ]
        ejected = await self._ejections.everywhere() if request.include_ejections else {}
        entries: list[pb.AgentEntry] = []
        room = Room()
        for agent in fitting[:size]:
            if not room.takes(len(agent.record)):
                break
            entry = entry_of(self._table, agent)
            entry.ejections.extend(ejected.get(agent.id, ()))
            entries.append(entry)
        more = len(fitting) > len(entries)
        response = pb.ListAgentsResponse(
            agents=entries,
            next_page_token=token_out(request, entries[-1].agent.agent_id) if more else "",
            registry_problem=self._problem(),
        )
        if cursor is None:
            try:
                response.queues.extend(await self._queued.all())
            except LinkError as error:  # who is alive is known without Redis
                response.queues_problem = str(error)
        return response

    async def ListEjections(self, request: pb.ListEjectionsRequest, context: Any) -> pb.ListEjectionsResponse:
        return pb.ListEjectionsResponse(ejections=self._ejections.here())

    async def ListNodes(self, request: pb.ListNodesRequest, context: Any) -> pb.ListNodesResponse:
        size = page_size(request.page_size)
        cursor = token_in(request, str)
        nodes = [node for key, node in sorted(self._table.nodes.items()) if cursor is None or key > cursor[0]]
        shown = nodes[:size]
        response = pb.ListNodesResponse(
            nodes=[node_record(node.record) for node in shown],
            next_page_token=token_out(request, shown[-1].id) if len(nodes) > size else "",
            registry_problem=self._problem(),
        )
        counts = [self._context.ownership.owned_count_nowait(node.id) for node in shown]
        with suppress(LinkError):  # who is alive is known without Redis
            for record, count in zip(response.nodes, counts, strict=True):
                record.owned_workflows = await count
        return response

    def _problem(self) -> str:
        if self._table.fresh:
            return ""
        node_id = self._context.status.node_id
        return f"etcd at {self._etcd.endpoints} does not answer {node_id}, so who is alive may be out of date"

    async def DrainNode(self, request: pb.DrainNodeRequest, context: Any) -> pb.DrainNodeResponse:
        context = self._context
        if request.node_id != context.status.node_id:
            node = self._table.nodes.get(request.node_id)
            if node is None:
                raise not_found("node", request.node_id)
            return await self._peers.drain_node(node.address, request)
        if not context.status.draining:
            context.status.draining = True  # at once: the work for it begins a moment later
            context.spawn(self._drain())
        return pb.DrainNodeResponse(state=agent_pb2.NODE_STATE_DRAINING, owned_workflows=len(self._hosted))

    async def SelectAgent(self, request: pb.SelectAgentRequest, context: Any) -> pb.SelectAgentResponse:
        selection = request.selection
        requirement = require(request.capability, dict(selection.match_labels), request.version or None)
        try:
            explained = self._table.pools.explain(
                requirement,
                policy_in(selection.policy),
                avoid=tuple(request.avoid_agents),
                sticky_key=selection.sticky_key or None,
            )
        except (KeyError, ValueError) as error:
            raise invalid("selection", str(error)) from None
        agent = explained.choice.agent
        rows = [
            pb.Candidate(agent_id=verdict.agent_id, score=verdict.score, rejected=verdict.rejected)
            for verdict in explained.verdicts
        ]
        return pb.SelectAgentResponse(
            agent_id=agent.agent_id if agent is not None else "", candidates=rows if request.explain else ()
        )

    # ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _changed(self, news: TableChange) -> None:
        if news.kind == "nodes":
            return
        if len(self._kept) == KEPT_NEWS:
            self._since = self._kept[0].revision
        self._kept.append(news)
        for watcher in self._watchers:
            watcher.set()

    async def WatchAgents(self, request: pb.WatchAgentsRequest, context: Any) -> AsyncIterator[pb.WatchAgentsResponse]:
        news = asyncio.Event()
        self._watchers.add(news)
        try:
            after = request.after_revision
            if after == 0:
                after = self._table.revision
                for answer in self._standing(request.capability, after):
                    yield answer
            elif after < self._since:
                raise InvalidRequest(
                    f"the events after revision {after} are no longer kept: list the agents, then watch again",
                    code="OUT_OF_RANGE",
                    reason="WATCH_COMPACTED",
                    metadata={"revision": str(self._table.revision)},
                )
            while not self._stopping.is_set():
                news.clear()
                for change in [change for change in self._kept if change.revision > after]:
                    after = change.revision
                    if _concerns(change, self._table.agents, request.capability):
                        yield self._told(change)
                try:
                    async with asyncio.timeout(WATCH_KEEP_ALIVE):
                        await news.wait()
                except TimeoutError:
                    yield pb.WatchAgentsResponse(revision=max(after, self._table.revision))
        finally:
            self._watchers.discard(news)

    def _standing(self, capability: str, revision: int) -> list[pb.WatchAgentsResponse]:
        standing = [
            pb.WatchAgentsResponse(type=pb.AGENT_EVENT_TYPE_PUT, agent=entry_of(self._table, agent), revision=revision)
            for agent in self._table.agents.values()
            if not capability or capability in agent.capabilities
        ]
        return [*standing, pb.WatchAgentsResponse(type=pb.AGENT_EVENT_TYPE_SYNCED, revision=revision)]

    def _told(self, change: TableChange) -> pb.WatchAgentsResponse:
        if change.how.removed:
            gone = pb.AgentEntry(agent=agent_pb2.AgentRecord(agent_id=change.id))
            kind = pb.AGENT_EVENT_TYPE_REMOVED
            return pb.WatchAgentsResponse(type=kind, agent=gone, revision=change.revision)
        if change.how is ChangeKind.LOAD:
            entry = pb.AgentEntry(agent=agent_pb2.AgentRecord(agent_id=change.id), load=load_of(self._table, change.id))
            return pb.WatchAgentsResponse(type=pb.AGENT_EVENT_TYPE_LOAD, agent=entry, revision=change.revision)
        assert isinstance(change.new, AgentView)
        entry = pb.AgentEntry(agent=agent_record(change.new.record), load=load_of(self._table, change.id))
        return pb.WatchAgentsResponse(type=pb.AGENT_EVENT_TYPE_PUT, agent=entry, revision=change.revision)


def _carries(agent: AgentView, capability: str, labels: Mapping[str, str]) -> bool:
    """Whether the agent, or the capability that is asked for (any, if none is), carries all the labels."""
    if not labels:
        return True
    carried = [view.labels for name, view in agent.capabilities.items() if capability in ("", name)]
    return any(all({**agent.labels, **own}.get(k) == v for k, v in labels.items()) for own in carried or [{}])


def _concerns(change: TableChange, agents: Mapping[str, AgentView], capability: str) -> bool:
    if not capability:
        return True
    for view in (change.new, change.old, agents.get(change.id)):
        if isinstance(view, AgentView):
            return capability in view.capabilities
    return False


def _check_record(record: agent_pb2.AgentRecord) -> None:
    if not _AGENT_ID.fullmatch(record.agent_id):
        raise invalid("agent.agent_id", f"{record.agent_id!r} does not read <name>-<8 base32>, like ocr-k3v9abcd")
    if not record.capabilities:
        raise invalid("agent.capabilities", "an agent serves at least one")
    for i, capability in enumerate(record.capabilities):
        try:
            check_name(capability.name, "capability")
        except ValueError as error:
            raise invalid(f"agent.capabilities[{i}].name", str(error)) from None
        if capability.slots < 0:
            raise invalid(f"agent.capabilities[{i}].slots", "0 (as many as the agent has) or more")
    if record.slots < 0:
        raise invalid("agent.slots", "below zero")
    if record.control_endpoint:
        try:
            split_host_port(record.control_endpoint)
        except ValueError:
            raise invalid("agent.control_endpoint", f"{record.control_endpoint!r} is not host:port") from None
