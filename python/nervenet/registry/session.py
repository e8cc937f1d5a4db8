# SPDX-License-Identifier: Apache-2.0
"""A lease as an object: the keys that are put through it exist as long as the lease.

    session = await Session.open(etcd, ttl=5)
    await session.put("/nervenet/default/nodes/n-3f…", record)   # then announce ready
    …
    await session.lost.wait()   # then register under a new id: one id is one incarnation

`alive` is this process' own view: its deadline begins when the last acknowledged keep-alive was *sent*, so it is never
later than etcd's. `lost` is etcd's answer: the lease is gone. While etcd does not answer, a session may be neither
alive nor lost: it tries again.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from nervenet.clock import SYSTEM, Clock
from nervenet.registry.etcd import Etcd, EtcdError, EtcdUnavailable, LeaseNotFound
from nervenet.supervision import supervise

log = logging.getLogger(__name__)


class Session:
    """Made by `open`, with a new lease, or `resume`, with an existing one. `close` revokes the lease."""

    def __init__(self, etcd: Etcd, lease: int, ttl: float, deadline: float, clock: Clock) -> None:
        self.id = lease
        self.ttl = ttl
        self.lost = asyncio.Event()
        self._etcd, self._clock, self._deadline = etcd, clock, deadline
        self._closed = False
        self._writing = asyncio.Lock()
        self._revisions: dict[str, int] = {}
        self._keeper = asyncio.create_task(self._live(), name=f"etcd-session-{lease:x}")

    @classmethod
    async def open(cls, etcd: Etcd, ttl: int = 5, *, clock: Clock = SYSTEM) -> Self:
        """Grant a lease of `ttl` seconds and keep it."""
        sent = clock.monotonic()
        lease = await etcd.grant(ttl)
        return cls(etcd, lease, ttl, sent + ttl, clock)

    @classmethod
    async def resume(cls, etcd: Etcd, lease: int, *, clock: Clock = SYSTEM) -> Self:
        """Keep a lease that was granted to another process. Raises LeaseNotFound if it is gone."""
        sent = clock.monotonic()
        ttl = await etcd.keep_alive(lease)
        return cls(etcd, lease, ttl, sent + ttl, clock)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "lost" if self.lost.is_set() else f"{self.remaining:.1f} s left"
        return f"<Session {self.id:x} {state}>"

    @property
    def remaining(self) -> float:
        """Seconds for which etcd certainly still has the lease; 0 if it may be gone."""
        if self._closed or self.lost.is_set():
            return 0.0
        return max(0.0, self._deadline - self._clock.monotonic())

    @property
    def alive(self) -> bool:
        """Whether this process may act as a member of the mesh: adopt workflows, declare others dead, appear as
        alive."""
        return self.remaining > 0.0

    async def put(self, key: str, value: bytes) -> int:
        """Put a key that exists as long as the lease; returns its revision. Raises LeaseNotFound: the session is lost.

        Each write names the revision that it replaces. A write that was given up may stay in a suspended member and
        arrive much later: then it changes nothing. A plain put would restore the older value.
        """
        async with self._writing:
            expected = self._revisions.get(key, 0)
            while True:
                try:
                    done, current = await self._etcd.compare_and_set(key, value, expected=expected, lease=self.id)
                except LeaseNotFound:
                    self._lose()
                    raise
                expected = current.mod_revision if current else 0
                if done:
                    self._revisions[key] = expected
                    return expected

    async def delete(self, key: str) -> None:
        await self._etcd.delete(key)

    async def close(self) -> None:
        """Stop keeping the lease, and revoke it, so that all watchers see it at once. Without etcd it just expires.

        It has no effect on a session that was closed or abandoned before.
        """
        if self._closed:
            return
        self._closed = True
        await self._stop()
        if not self.lost.is_set():
            try:
                await self._etcd.revoke(self.id, patience=self.ttl / 3)
            except EtcdError as fault:
                log.info("lease %x not revoked, it will expire: %s", self.id, fault)

    async def abandon(self) -> None:
        """Stop keeping the lease without revoking it, for another process that resumes it."""
        self._closed = True
        await self._stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _stop(self) -> None:
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        if not self._keeper.cancelled():
            self._keeper.result()  # it has ended: lost, or by an unexpected error

    async def _live(self) -> None:
        try:
            await supervise(f"lease {self.id:x}", self._keep, fatal=(LeaseNotFound,))
        except LeaseNotFound:
            self._lose()

    async def _keep(self) -> None:
        """Keep the lease until it is gone; then raise LeaseNotFound."""
        period = self.ttl / 3
        pause = period
        since: float | None = None  # the time at which etcd stopped answering
        while True:
            await asyncio.sleep(pause)
            sent = self._clock.monotonic()
            try:
                self._deadline = sent + await self._etcd.keep_alive(self.id, patience=period)
                pause = max(0.0, sent + period - self._clock.monotonic())
                if since is not None:
                    log.info("lease %x is renewed again, after %.1f s without etcd", self.id, sent - since)
                    since = None
            except LeaseNotFound:
                raise
            except EtcdUnavailable as fault:
                if since is None:  # ten tries a second follow, so log it once
                    since = sent
                    log.warning("lease %x not renewed, %.1f s left, trying on: %s", self.id, self.remaining, fault)
                pause = 0.1
            except EtcdError as fault:
                log.warning("lease %x not renewed: %s", self.id, fault)
                pause = period

    def _lose(self) -> None:
        if not self.lost.is_set():
            log.warning("lease %x is lost", self.id)
            self.lost.set()
