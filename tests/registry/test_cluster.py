# SPDX-License-Identifier: Apache-2.0
"""Three members: the leader is killed, the member in use frozen, and whoever uses them goes on."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from nervenet.dev.servers import Server
from nervenet.registry.etcd import Etcd, EtcdUnavailable
from nervenet.registry.session import Session
from tests.support.etcd_servers import cluster
from tests.support.waiting import until

from .test_watch import watching

pytestmark = pytest.mark.xdist_group("etcd-cluster")  # three servers at once are enough for two cores


async def leader_of(etcd: Etcd, members: list[Server]) -> Server:
    leader = next(row.endpoint for row in await etcd.status() if row.leader)
    return next(member for member in members if leader.endswith(f":{member.port}"))


def use(etcd: Etcd, member: Server) -> None:
    """Let the client stand at this member, so that the fault surely meets it."""
    etcd._transport.current = next(e for e in etcd._transport.endpoints if e.name.endswith(f":{member.port}"))


async def put(session: Session, key: str, value: bytes) -> float:
    """→ seconds until it was done, however often it had to be tried."""
    began = time.monotonic()
    async with asyncio.timeout(20):
        while True:
            try:
                await session.put(key, value)
            except EtcdUnavailable:
                continue
            return time.monotonic() - began


async def test_with_the_leader_killed_and_then_a_member_frozen_everything_goes_on(namespace: str) -> None:
    key = f"/{namespace}/counter"
    async with cluster() as members:
        url = ",".join(member.url for member in members)
        async with Etcd.open(url) as etcd, Etcd.open(url) as other, await Session.open(etcd, ttl=5) as session:
            leader = await leader_of(etcd, members)
            use(etcd, leader)
            use(other, leader)
            async with watching(other, f"/{namespace}/") as watcher:
                await put(session, key, b"1")
                leader.kill()
                took = await put(session, key, b"2")
                await watcher.until(key, b"2")
                assert took < 6, f"{took:.1f} s"
                await leader.restart()
                await put(session, key, b"3")
                await watcher.until(key, b"3")

                frozen = next(m for m in members if other._transport.current.name.endswith(f":{m.port}"))
                frozen.kill(signal.SIGSTOP)
                try:
                    took = await put(session, key, b"4")
                    await watcher.until(key, b"4")
                finally:
                    frozen.kill(signal.SIGCONT)
                assert took < 6, f"{took:.1f} s"
                await put(session, key, b"5")
                await watcher.until(key, b"5")
                assert watcher.versions == [1, 2, 3, 4, 5], "missed, told or done twice"
                assert watcher.snapshots == 1
            await until(lambda: session.alive, "a renewal")
            assert not session.lost.is_set()
