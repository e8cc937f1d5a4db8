# SPDX-License-Identifier: Apache-2.0
"""A lease as an object: while it is alive, the keys put through it stand; when it is lost, so are they.

    session = await Session.open(etcd, ttl=5)
    await session.put("/nervenet/default/nodes/n-3f…", record)   # then announce ready
    …
    await session.lost.wait()   # come back under a new id: one id is one incarnation

Two different questions: `alive` is what we may claim (our own deadline, counted from when the last acknowledged
keep-alive was *sent*, so never later than etcd's), `lost` is what etcd has said (the lease is gone for good). Between
the two, with etcd out of reach, a session is neither: it goes on trying.
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
    """Made by `open` (a lease of its own) or `resume` (one that stands); `close` revokes it."""

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
        """Keep a lease that somebody else was granted. Raises LeaseNotFound when it is gone."""
        sent = clock.monotonic()
        ttl = await etcd.keep_alive(lease)
        return cls(etcd, lease, ttl, sent + ttl, clock)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "lost" if self.lost.is_set() else f"{self.remaining:.1f} s left"
        return f"<Session {self.id:x} {state}>"

    @property
    def remaining(self) -> float:
        """Seconds for which etcd surely still holds the lease; 0 once it may be gone."""
        if self._closed or self.lost.is_set():
            return 0.0
        return max(0.0, self._deadline - self._clock.monotonic())

    @property
    def alive(self) -> bool:
        """Whether we may act as a member of the mesh: bury, adopt, claim to be there."""
        return self.remaining > 0.0

    async def put(self, key: str, value: bytes) -> int:
        """The key stands as long as the lease → its revision. Raises LeaseNotFound (and the session is lost).

        Each write names the revision that it replaces: one that was given up, and sits in a frozen member until that
        thaws, then changes nothing. A plain put would bring the older value back.
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
        """Stop keeping the lease, and revoke it, so that everybody learns at once. With etcd away it just expires.

        Closed or abandoned before: nothing happens.
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
        """Stop keeping the lease and leave it standing: somebody else resumes it."""
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
            self._keeper.result()  # it ended by itself: lost, or an error nobody thought of

    async def _live(self) -> None:
        try:
            await supervise(f"lease {self.id:x}", self._keep, fatal=(LeaseNotFound,))
        except LeaseNotFound:
            self._lose()

    async def _keep(self) -> None:
        """Until the lease is gone, which is raised."""
        period = self.ttl / 3
        pause = period
        since: float | None = None  # when etcd went out of reach
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
                if since is None:  # ten tries a second follow
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
