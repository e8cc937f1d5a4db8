# SPDX-License-Identifier: Apache-2.0
"""The registration of one incarnation: through any node, and kept by a heartbeat stream to any node.

The lease belongs to the agent and outlives each stream: when a node is gone, the heartbeats continue at the next one,
with the same lease id. Only `lease_lost` or LEASE_NOT_FOUND ends the id. Silence of all nodes does not, because the
agent can work with Redis alone. `alive` is the agent's own view: the time at which the last answered heartbeat was
sent, plus the lease's time to live in its answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nervenet.agent.service import load_out
from nervenet.errors import ConfigError, NotFound, RequestError, Unavailable
from nervenet.grpc_import import grpc
from nervenet.rpc.channels import metadata_of
from nervenet.rpc.status import error_of
from nervenet.timing import AGENT_CALL_TIMEOUT, LOAD_REPORT_SHORTEST
from nervenet.v1 import registry_service_pb2 as api

if TYPE_CHECKING:
    from nervenet.agent.load import LoadSample
    from nervenet.agent.service import AgentPort
    from nervenet.clock import Clock
    from nervenet.config import Config
    from nervenet.rpc.channels import Channel

ANSWERED_WITHIN: Final = 2.1
"""Heartbeat intervals without an answer after which the agent tries the next node, while its lease still lives."""
_BACKOFF: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
_OURS: Final = frozenset({"INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_EXPIRED: Final = "CREDENTIALS_EXPIRED"
"""Not the end: the file with the credentials may be renewed any moment."""

_log = logging.getLogger("nervenet.agent")


class Registration:
    """`port` connects to the nodes, has the agent's record, and gets the state that a node wants. `load` returns the
    load."""

    def __init__(
        self, agent_id: str, port: AgentPort, load: Callable[[], LoadSample], config: Config, clock: Clock
    ) -> None:
        self.agent_id = agent_id
        self.node_id = ""
        self.lease_id = 0
        self.registered = asyncio.Event()
        self._port = port
        self._load = load
        self._config = config
        self._clock = clock
        self._turn = 0
        self._interval = 1.0
        self._until = 0.0
        self._lost = False
        self._stale = asyncio.Event()  # the record has changed: register again, with the same lease

    def __repr__(self) -> str:
        state = "lost" if self._lost else "alive" if self.alive else "not alive"
        return f"<Registration {self.agent_id} lease {self.lease_id:x} {state}>"

    @property
    def alive(self) -> bool:
        """Whether the lease lives, as far as the agent knows."""
        return not self._lost and self._clock.monotonic() < self._until

    @property
    def remaining(self) -> float:
        """Seconds for which the lease certainly lives."""
        return 0.0 if self._lost else max(0.0, self._until - self._clock.monotonic())

    def changed(self) -> None:
        """The record (its state) has changed: register it again."""
        self._stale.set()

    async def run(self) -> None:
        """Register, then send heartbeats. Returns when the lease is lost; raises ConfigError if a node refuses the
        agent."""
        failures = 0
        while not self._lost:
            channel = self._port.dial(self._turn)
            try:
                if not self.lease_id or self._stale.is_set():
                    await self._register(channel)
                self.registered.set()
                await self._beat(channel)
                failures = 0
            except (grpc.aio.AioRpcError, Unavailable) as refused:
                error = refused if isinstance(refused, Unavailable) else error_of(refused, channel.target)
                self._judge(error)
                self._turn += 1
                failures += 1
                if failures in (1, 10) or failures % 60 == 0:
                    why = await channel.why_not_secured() if not error.reason else ""
                    _log.warning("%s: %s; trying the next node", self.agent_id, why or error)
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF)) - 1])

    async def leave(self) -> None:
        """Deregister, if a node answers. Otherwise the lease expires."""
        if not self.lease_id or self._lost:
            return
        for _ in range(3):
            channel = self._port.dial(self._turn)
            request = api.DeregisterAgentRequest(agent_id=self.agent_id, lease_id=self.lease_id)
            try:
                await channel["DeregisterAgent"](
                    request, timeout=AGENT_CALL_TIMEOUT / 3, metadata=metadata_of(self._config)
                )
            except (grpc.aio.AioRpcError, Unavailable):
                self._turn += 1
            else:
                return

    async def _register(self, channel: Channel) -> None:
        self._stale.clear()
        began = self._clock.monotonic()
        request = api.RegisterAgentRequest(agent=self._port.record(self.agent_id), lease_id=self.lease_id)
        answer: api.RegisterAgentResponse = await channel["RegisterAgent"](
            request, timeout=AGENT_CALL_TIMEOUT, metadata=metadata_of(self._config)
        )
        self.lease_id, self.node_id = answer.lease_id, answer.node_id
        self._until = began + _seconds(answer.ttl, 5.0)
        self._interval = _seconds(answer.heartbeat_interval, self._interval)

    async def _beat(self, channel: Channel) -> None:
        """One heartbeat stream, until it breaks, the lease is lost, or the record has changed."""
        call = channel["Heartbeat"](self._beats(), metadata=metadata_of(self._config))
        answered = False
        try:
            while True:
                sent = self._clock.monotonic()
                async with asyncio.timeout(ANSWERED_WITHIN * self._interval):
                    answer: Any = await call.read()
                if answer is grpc.aio.EOF:
                    return
                answered = True
                if answer.lease_lost:
                    self._lost = True
                    return
                self._until = sent + _seconds(answer.ttl, 5.0)
                if answer.desired_state:
                    self._port.set_desired_state(answer.desired_state)
                if self._stale.is_set():
                    return
        except TimeoutError:
            self._turn += 1
        except grpc.aio.AioRpcError as error:
            if not (answered and error_of(error, channel.target).reason == _EXPIRED):
                raise
            _log.info("%s: its credentials have expired; the next heartbeats have new ones", self.agent_id)
        finally:
            call.cancel()

    async def _beats(self) -> AsyncIterator[api.HeartbeatRequest]:
        """A heartbeat in each interval, and sooner if the load changes by a tenth, or between full and not full."""
        sent, at = self._load(), self._clock.monotonic()
        yield self._heartbeat(sent)
        while not self._lost:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stale.wait(), LOAD_REPORT_SHORTEST)
            now, load = self._clock.monotonic(), self._load()
            if now - at >= self._interval or _is_significant(sent, load) or self._stale.is_set():
                sent, at = load, now
                yield self._heartbeat(load)

    def _heartbeat(self, load: LoadSample) -> api.HeartbeatRequest:
        return api.HeartbeatRequest(
            agent_id=self.agent_id,
            lease_id=self.lease_id,
            load=load_out(load),
            state=self._port.record(self.agent_id).state,
        )

    def _judge(self, error: RequestError) -> None:
        if isinstance(error, NotFound) and self.lease_id:
            self._lost = True
        elif (
            error.code in _OURS and error.reason != "CREDENTIALS_EXPIRED"
        ):  # the file with them may be renewed any moment
            raise ConfigError(f"{self.agent_id} is refused by its node: {error}") from error


def _is_significant(before: LoadSample, now: LoadSample) -> bool:
    taken, was = now.active + now.queued, before.active + before.queued
    return abs(taken - was) >= max(1, now.slots // 10) or (taken >= now.slots) != (was >= before.slots)


def _seconds(duration: Any, default: float) -> float:
    return duration.ToMilliseconds() / 1000 or default
