# SPDX-License-Identifier: Apache-2.0
"""The lease as an object: what it claims, when it gives up, when it is lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import Any

import pytest

from nervenet.dev.servers import etcd as etcd_server
from nervenet.registry.etcd import Etcd, LeaseNotFound
from nervenet.registry.session import Session
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until


async def test_its_keys_stand_while_it_is_open_and_go_at_once_when_it_closes(etcd_url: str, namespace: str) -> None:
    key = f"/{namespace}/me"
    async with Etcd.open(etcd_url) as etcd:
        async with await Session.open(etcd, ttl=2) as session:
            await session.put(key, b"here")
            await until(lambda: session.remaining > 1.9, "a renewal", within=3)
            assert await etcd.get(key) is not None
            assert session.alive
        assert await etcd.get(key) is None
        assert not session.alive
        assert not session.lost.is_set()
        assert repr(session).endswith("closed>")


async def test_a_write_that_was_given_up_and_arrives_late_does_not_bring_the_old_value_back(
    etcd_url: str, namespace: str
) -> None:
    key = f"/{namespace}/me"
    async with Etcd.open(etcd_url) as etcd, await Session.open(etcd) as session:
        first = await session.put(key, b"active")
        await session.put(key, b"draining")
        late = await etcd.compare_and_set(key, b"active", expected=first, lease=session.id)  # what such a write is
        assert not late.done
        await etcd.put(key, b"meddling")
        await session.put(key, b"drained")
        found = await etcd.get(key)
        assert found is not None
        assert (found.value, found.lease) == (b"drained", session.id)
        await session.delete(key)
        await session.put(key, b"active again")


async def test_it_survives_a_restart_of_etcd_with_its_keys(namespace: str) -> None:
    with etcd_server() as server:
        async with Etcd.open(server.url) as etcd, await Session.open(etcd, ttl=5) as session:
            await session.put(f"/{namespace}/me", b"here")
            await server.restart()
            restarted = time.monotonic()
            await until(lambda: session._deadline > restarted + session.ttl, "a renewal after the restart")
            assert session.alive
            assert not session.lost.is_set()
            found = await etcd.get(f"/{namespace}/me")
            assert found is not None
            assert (found.lease, found.version) == (session.id, 1)


async def test_a_lease_revoked_behind_its_back_is_a_lost_session(etcd_url: str, namespace: str) -> None:
    async with Etcd.open(etcd_url) as etcd, await Session.open(etcd, ttl=2) as session:
        await etcd.revoke(session.id)
        await asyncio.wait_for(session.lost.wait(), 3)
        assert not session.alive
        with pytest.raises(LeaseNotFound):
            await session.put(f"/{namespace}/me", b"here")


async def test_a_put_may_be_the_first_to_learn_that_it_is_lost(etcd_url: str, namespace: str) -> None:
    async with Etcd.open(etcd_url) as etcd, await Session.open(etcd, ttl=60) as session:
        await etcd.revoke(session.id)
        with pytest.raises(LeaseNotFound):
            await session.put(f"/{namespace}/me", b"here")
        assert session.lost.is_set()


async def test_with_etcd_frozen_it_claims_to_live_no_longer_than_etcd_may_believe_it(namespace: str) -> None:
    with etcd_server() as server:
        async with Etcd.open(server.url) as etcd, await Session.open(etcd, ttl=2) as session:
            granted = session._deadline
            await until(lambda: session._deadline > granted, "a renewal")
            server.kill(signal.SIGSTOP)
            frozen = time.monotonic()
            await until(lambda: not session.alive, "the deadline", within=5)
            assert time.monotonic() - frozen <= session.ttl + 0.1
            assert not session.lost.is_set(), "nobody said that the lease is gone"
            server.kill(signal.SIGCONT)
            # Whether etcd let the lease expire or the next keep-alive came first: it is one or the other, soon.
            await until(lambda: session.alive or session.lost.is_set(), "an answer")


async def test_cut_off_for_longer_than_its_ttl_it_learns_that_it_is_lost(etcd_url: str) -> None:
    async with (
        Etcd.open(etcd_url) as witness,
        tcp_proxy(etcd_url) as line,
        Etcd.open(line.url) as etcd,
        await Session.open(etcd, ttl=2) as session,
    ):
        line.cut()
        while await witness.time_to_live(session.id) >= 0:
            assert not session.lost.is_set()
            await asyncio.sleep(0.02)
        assert not session.alive, "etcd has given it up, and it still claims to live"
        await line.mend()
        await asyncio.wait_for(session.lost.wait(), 15)


async def test_another_process_can_go_on_with_a_lease(etcd_url: str, namespace: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        first = await Session.open(etcd, ttl=3)
        await first.put(f"/{namespace}/agent", b"here")
        await first.abandon()
        async with await Session.resume(etcd, first.id) as second:
            assert (second.id, second.ttl, second.alive) == (first.id, 3, True)
            assert await etcd.get(f"/{namespace}/agent") is not None
        with pytest.raises(LeaseNotFound):
            await Session.resume(etcd, first.id)


async def test_a_member_that_takes_connections_and_says_nothing_does_not_cost_the_lease(etcd_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        async with Etcd.open(f"{etcd_url},{silent}") as etcd:
            good, bad = sorted(etcd._transport.endpoints, key=lambda endpoint: endpoint.name == silent)
            etcd._transport.current = good
            async with await Session.open(etcd, ttl=3) as session:
                etcd._transport.current = bad
                granted = session._deadline
                await until(lambda: session._deadline > granted or not session.alive, "a renewal")
                assert session.alive


async def test_closing_with_etcd_away_takes_no_longer_than_it_must() -> None:
    with etcd_server() as server:
        async with Etcd.open(server.url) as etcd:
            session = await Session.open(etcd, ttl=3)
            server.kill()
            began = time.monotonic()
            await session.close()
            assert time.monotonic() - began < 1.5


async def test_a_lease_is_kept_whatever_went_wrong_in_between(etcd_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_alive, kept = Etcd.keep_alive, asyncio.Event()
    errors: list[Exception] = [ValueError("an answer that no version of ours gives")]

    async def fails(self: Etcd, *args: Any, **how: Any) -> Any:
        if errors:
            raise errors.pop()
        found = await keep_alive(self, *args, **how)
        kept.set()
        return found

    monkeypatch.setattr(Etcd, "keep_alive", fails)
    async with Etcd.open(etcd_url) as etcd, await Session.open(etcd, 2) as session:
        await asyncio.wait_for(kept.wait(), 5)
        assert not errors
        assert session.alive
