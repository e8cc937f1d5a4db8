# SPDX-License-Identifier: Apache-2.0
"""Renews all leases of one client over one stream: a node keeps the leases of a thousand agents, and its own.

A stream that does not answer in time counts as broken for all callers. Each of them gets an error and tries again, on
another member.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, TypeAlias

from nervenet.registry._etcd import etcd_pb2 as pb
from nervenet.registry.etcd.faults import EtcdError, EtcdUnavailable, LeaseNotFound
from nervenet.registry.etcd.transport import EtcdMethod, Stream, Transport

_Stream: TypeAlias = Stream[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]

_KEEP_ALIVE: Final = EtcdMethod[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse](
    "/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse
)


class KeepAlives:
    """`renew(lease)` returns the seconds that the lease now lives."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._stream: _Stream | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, deque[asyncio.Future[int]]] = {}
        self._turn = asyncio.Lock()  # gRPC takes one write at a time

    async def renew(self, lease: int, patience: float) -> int:
        """Renew a lease. Raises LeaseNotFound if it is gone, EtcdUnavailable if no member answers within `patience`."""
        stream: _Stream | None = None
        endpoint, began = self._transport.current, self._transport.clock.monotonic()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience):
                async with self._turn:
                    stream = await self._open()
                    self._waiting.setdefault(lease, deque()).append(answer)
                    await stream.send(pb.LeaseKeepAliveRequest(id=lease))
                ttl = await answer
        except TimeoutError:
            self._transport.timed(_KEEP_ALIVE, began, "DEADLINE_EXCEEDED")
            fault = EtcdUnavailable(f"no answer to a keep-alive in {patience:.1f} s", sent=True)
            if stream is not None:
                self._break(stream, fault)
            else:  # not connected yet: this connection attempt is given up
                self._transport.rotate(endpoint)
            raise fault from None
        except EtcdUnavailable as fault:
            self._transport.timed(_KEEP_ALIVE, began, "UNAVAILABLE")
            if stream is not None:
                self._break(stream, fault)
            raise
        finally:
            self._forget(lease, answer)
        self._transport.timed(_KEEP_ALIVE, began)
        if ttl <= 0:
            raise LeaseNotFound(f"lease {lease:x} is gone")
        return ttl

    async def close(self) -> None:
        if self._stream is not None:
            self._break(self._stream, EtcdUnavailable("this etcd client is closed", sent=True))
        if self._reader is not None:
            await asyncio.wait([self._reader])

    async def _open(self) -> _Stream:
        if self._stream is None:
            self._stream = await self._transport.stream(_KEEP_ALIVE)
            self._reader = asyncio.create_task(self._read(self._stream), name="etcd-keepalive")
        return self._stream

    async def _read(self, stream: _Stream) -> None:
        try:
            while True:
                answer = await stream.receive()
                waiting = self._waiting.get(answer.id)
                if waiting:
                    future = waiting.popleft()
                    if not future.done():
                        future.set_result(answer.ttl)
        except EtcdError as fault:
            self._break(stream, fault)
        except asyncio.CancelledError:
            self._break(stream, EtcdUnavailable("the keep-alive stream was cancelled", sent=True))
        except Exception as error:  # noqa: BLE001 - the waiting callers get it; the next caller opens another stream
            self._break(stream, EtcdUnavailable(f"the keep-alive stream failed: {error!r}", sent=True))

    def _break(self, stream: _Stream, fault: EtcdError) -> None:
        if stream is not self._stream:
            return
        self._stream = None
        stream.close()
        self._transport.rotate(stream.endpoint)
        orphans, self._waiting = self._waiting, {}
        for future in (future for waiting in orphans.values() for future in waiting):
            if not future.done():
                future.set_exception(fault)
                future.exception()  # its caller may have failed to send and never await it

    def _forget(self, lease: int, answer: asyncio.Future[int]) -> None:
        # The answer to a caller that gave up must not go to the next caller.
        waiting = self._waiting.get(lease)
        if waiting is None:
            return
        if answer in waiting:
            waiting.remove(answer)
        if not waiting:
            del self._waiting[lease]
        if answer.done() and not answer.cancelled():
            answer.exception()  # mark the exception as read
