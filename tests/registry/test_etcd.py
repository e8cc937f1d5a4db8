# SPDX-License-Identifier: Apache-2.0
"""The client on a good day, and what it says about writes on a bad one."""

from __future__ import annotations

import asyncio

import pytest

from nervenet.dev.servers import free_port
from nervenet.registry.etcd import BadEtcdAddress, Etcd, EtcdAddress, EtcdUnavailable, LeaseNotFound
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until


@pytest.fixture
def prefix(namespace: str) -> str:
    return f"/{namespace}/"


async def test_what_was_put_is_there_until_it_is_deleted(etcd_url: str, prefix: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        revision = await etcd.put(f"{prefix}a", b"one")
        found = await etcd.get(f"{prefix}a")
        assert found is not None
        assert (found.value, found.mod_revision, found.version, found.lease) == (b"one", revision, 1, 0)
        await etcd.delete(f"{prefix}a")
        assert await etcd.get(f"{prefix}a") is None
        await etcd.delete(f"{prefix}a")


async def test_a_prefix_is_read_in_pages_as_of_one_revision(etcd_url: str, prefix: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        names = [f"{prefix}{i:04}" for i in range(1_100)]
        await asyncio.gather(*(etcd.put(name, b"x") for name in names))
        await etcd.put(prefix[:-1] + "0", b"a neighbour: one past the prefix")
        listing = await etcd.range(prefix)
        assert [kv.key for kv in listing.kvs] == names
        assert listing.revision >= max(kv.mod_revision for kv in listing.kvs)


async def test_of_two_who_create_one_wins_and_both_learn_who(etcd_url: str, prefix: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        first, second = await asyncio.gather(
            etcd.compare_and_set(f"{prefix}owner", b"n-1", expected=0),
            etcd.compare_and_set(f"{prefix}owner", b"n-2", expected=0),
        )
        assert [first.done, second.done].count(True) == 1
        winner = b"n-1" if first.done else b"n-2"
        assert first.current is not None
        assert second.current is not None
        assert first.current.value == second.current.value == winner
        swapped = await etcd.compare_and_set(f"{prefix}owner", b"n-3", expected=first.current.mod_revision)
        assert swapped.done
        again = await etcd.compare_and_set(f"{prefix}owner", b"n-4", expected=first.current.mod_revision)
        assert not again.done


async def test_a_compare_and_set_that_expects_what_is_gone_finds_nothing(etcd_url: str, prefix: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        assert await etcd.compare_and_set(f"{prefix}gone", b"x", expected=7) == (False, None)


async def test_a_key_goes_with_its_lease(etcd_url: str, prefix: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        lease = await etcd.grant(60)
        await etcd.put(f"{prefix}a", b"x", lease=lease)
        assert await etcd.keep_alive(lease) == 60
        assert 0 < await etcd.time_to_live(lease) <= 60
        await etcd.revoke(lease)
        assert await etcd.get(f"{prefix}a") is None
        await etcd.revoke(lease)
        with pytest.raises(LeaseNotFound):
            await etcd.keep_alive(lease)
        with pytest.raises(LeaseNotFound):
            await etcd.put(f"{prefix}a", b"x", lease=lease)
        assert await etcd.time_to_live(lease) == -1


async def test_many_leases_are_kept_over_one_stream_each_by_its_own_answer(etcd_url: str) -> None:
    async with Etcd.open(etcd_url) as etcd:
        leases = await asyncio.gather(*(etcd.grant(20 + i) for i in range(30)))
        gone = leases[7]
        await etcd.revoke(gone)
        answers = await asyncio.gather(*(etcd.keep_alive(lease) for lease in leases * 2), return_exceptions=True)
        for lease, answer, ttl in zip(leases * 2, answers, [*range(20, 50), *range(20, 50)], strict=True):
            assert isinstance(answer, LeaseNotFound) if lease == gone else answer == ttl


async def test_a_dead_endpoint_costs_a_write_nothing_and_happens_once(etcd_url: str, prefix: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    alive = etcd_url.removeprefix("http://")
    for endpoints in (f"{nobody},{alive}", f"{alive},{nobody}"):
        async with Etcd.open(f"http://{endpoints}") as etcd:
            for i in range(3):
                await etcd.put(f"{prefix}{endpoints}", str(i).encode())
            found = await etcd.get(f"{prefix}{endpoints}")
            assert found is not None
            assert found.version == 3


async def test_a_call_ends_when_its_patience_does_and_knows_that_nothing_happened() -> None:
    async with Etcd.open(f"http://127.0.0.1:{free_port()}", patience=0.3) as etcd:
        with pytest.raises(EtcdUnavailable) as caught:
            await etcd.put("/a", b"x")
        assert not caught.value.sent


@pytest.mark.parametrize("write", ["put", "compare_and_set"])
async def test_a_write_whose_reply_was_lost_is_found_to_be_ours_and_not_done_twice(
    etcd_url: str, prefix: str, write: str
) -> None:
    async with Etcd.open(etcd_url) as witness, tcp_proxy(etcd_url) as line, Etcd.open(line.url, patience=10) as etcd:
        await etcd.get(prefix)  # connected, so the write is really sent
        line.deaf = True
        key = f"{prefix}{write}"
        if write == "put":
            ours = asyncio.create_task(etcd.put(key, b"ours"))
        else:
            ours = asyncio.create_task(etcd.compare_and_set(key, b"ours", expected=0))
        while (found := await witness.get(key)) is None:
            await asyncio.sleep(0.005)
        assert not ours.done()
        line.cut()
        await line.mend()
        answer = await asyncio.wait_for(ours, 15)
        if isinstance(answer, int):
            assert answer == found.mod_revision
        else:
            assert answer.done
            assert answer.current == found
        assert await witness.get(key) == found, "it happened a second time"


async def test_a_lost_race_is_not_taken_for_a_lost_reply(etcd_url: str, prefix: str) -> None:
    async with Etcd.open(etcd_url) as witness, tcp_proxy(etcd_url) as line, Etcd.open(line.url, patience=10) as etcd:
        await etcd.get(prefix)
        line.cut()
        ours = asyncio.create_task(etcd.compare_and_set(f"{prefix}k", b"ours", expected=0))
        await witness.put(f"{prefix}k", b"theirs")
        await line.mend()
        answer = await asyncio.wait_for(ours, 15)
        assert not answer.done
        assert answer.current is not None
        assert answer.current.value == b"theirs"


async def test_a_granted_lease_whose_reply_was_lost_is_still_the_same_lease(etcd_url: str, prefix: str) -> None:
    async with tcp_proxy(etcd_url) as line, Etcd.open(line.url, patience=10) as etcd:
        await etcd.get(prefix)
        line.deaf = True
        granting = asyncio.create_task(etcd.grant(60))
        await asyncio.wait([granting], timeout=0.3)
        line.cut()
        await line.mend()
        lease = await asyncio.wait_for(granting, 15)
        assert await etcd.time_to_live(lease) > 0
        await etcd.revoke(lease)


async def test_doctor_sees_each_endpoint_by_itself(etcd_url: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    async with Etcd.open(f"{etcd_url},{nobody}") as etcd:
        rows = {row.endpoint: row for row in await etcd.status(patience=0.5)}
        alive = rows[etcd_url.removeprefix("http://")]
        assert alive.leader
        assert alive.version.startswith("3.")
        assert rows[nobody].error


async def test_one_who_waits_for_a_broken_stream_does_not_wait_for_ever(etcd_url: str) -> None:
    async with tcp_proxy(etcd_url) as line, Etcd.open(line.url) as etcd:
        lease = await etcd.grant(60)
        await etcd.keep_alive(lease)
        line.cut()
        with pytest.raises(EtcdUnavailable):
            await etcd.keep_alive(lease, patience=0.5)
        await line.mend()
        await until_kept(etcd, lease)


async def until_kept(etcd: Etcd, lease: int) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                assert await etcd.keep_alive(lease, patience=1) == 60
            except EtcdUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


def test_addresses_are_read_as_people_write_them() -> None:
    plain = EtcdAddress.parse("http://a:2379,b")
    assert plain == EtcdAddress(("a:2379", "b:2379"))
    assert EtcdAddress.parse("http://a:1,http://b:2") == EtcdAddress(("a:1", "b:2"))
    full = EtcdAddress.parse("https://root:p%40ss%3Aw%2Ford@[::1]:23790/")
    assert full == EtcdAddress(("[::1]:23790",), True, "root", "p@ss:w/ord")
    assert "ord" not in repr(full)


@pytest.mark.parametrize(
    "url",
    [
        "a:2379",
        "redis://a",
        "http://",
        "http://a:99999",
        "http://root:secret@a:b",
        "http://a,",
        "http://root:secret",
        "http://root:a@secret@b",
        "http://root:a/secret@b",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(BadEtcdAddress) as caught:
        EtcdAddress.parse(url)
    assert "http(s)://" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_nothing_is_left_running_after_close(etcd_url: str) -> None:
    before = asyncio.all_tasks()
    async with Etcd.open(etcd_url) as etcd:
        lease = await etcd.grant(10)
        await etcd.keep_alive(lease)
        await etcd.revoke(lease)
    await until(lambda: asyncio.all_tasks() <= before, "the end of all tasks")
