# SPDX-License-Identifier: Apache-2.0
"""A watch misses nothing and tells nothing twice: cut, restarted, compacted, in fragments."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from nervenet.dev.servers import etcd as etcd_server
from nervenet.registry.etcd import Changes, Etcd, EtcdUnavailable, Snapshot, watch
from tests.support.etcd_servers import etcdctl
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until


class Watcher:
    """Everything that a watch told, and what it comes to."""

    def __init__(self, etcd: Etcd, prefix: str) -> None:
        self.watch = etcd.watch(prefix)
        self.items: list[Snapshot | Changes] = []
        self.standing: dict[str, bytes] = {}
        self.told = asyncio.Condition()

    async def run(self) -> None:
        async for item in self.watch:
            async with self.told:
                self.items.append(item)
                if isinstance(item, Snapshot):
                    self.standing = {kv.key: kv.value for kv in item.kvs}
                else:
                    for kv, deleted in item.changes:
                        if deleted:
                            self.standing.pop(kv.key, None)
                        else:
                            self.standing[kv.key] = kv.value
                self.told.notify_all()

    async def until(self, key: str, value: bytes | None, within: float = 20) -> None:
        async with asyncio.timeout(within), self.told:
            await self.told.wait_for(lambda: self.standing.get(key) == value)

    @property
    def versions(self) -> list[int]:
        return [kv.version for item in self.items if isinstance(item, Changes) for kv, _ in item.changes]

    @property
    def snapshots(self) -> int:
        return sum(isinstance(item, Snapshot) for item in self.items)


@contextlib.asynccontextmanager
async def watching(etcd: Etcd, prefix: str) -> AsyncIterator[Watcher]:
    watcher = Watcher(etcd, prefix)
    task = asyncio.create_task(watcher.run())
    try:
        await until(lambda: task.done() or watcher.watch.live, "the watch")
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_first_what_stands_then_what_changes(etcd_url: str, namespace: str) -> None:
    key = f"/{namespace}/a"
    async with Etcd.open(etcd_url) as etcd:
        await etcd.put(key, b"1")
        async with watching(etcd, f"/{namespace}/") as watcher:
            await etcd.put(f"/{namespace}2/a", b"somebody else's")
            await etcd.put(key, b"2")
            await etcd.delete(key)
            await watcher.until(key, None)
            first, *rest = watcher.items
            assert isinstance(first, Snapshot)
            assert [kv.value for kv in first.kvs] == [b"1"]
            told = [change for item in rest if isinstance(item, Changes) for change in item.changes]
            assert [(kv.key, kv.value, deleted) for kv, deleted in told] == [(key, b"2", False), (key, b"", True)]


async def test_every_change_is_told_once_while_etcd_is_killed_and_restarted(namespace: str) -> None:
    key = f"/{namespace}/counter"
    with etcd_server() as server:
        async with Etcd.open(server.url, patience=20) as etcd, Etcd.open(server.url) as other:
            over = asyncio.Event()

            async def count() -> None:
                n = 0
                while not over.is_set():
                    n += 1
                    await etcd.put(key, str(n).encode())
                    await asyncio.sleep(0)

            async with watching(other, f"/{namespace}/") as watcher:
                counting = asyncio.create_task(count())
                await until(lambda: len(watcher.versions) > 50, "fifty changes")
                await server.restart()
                seen = len(watcher.versions)
                await until(lambda: len(watcher.versions) > seen + 50, "fifty changes after the restart")
                over.set()
                await counting
                last = await etcd.get(key)
                assert last is not None
                await watcher.until(key, last.value)
                assert watcher.versions == list(range(1, last.version + 1)), "missed or told twice"
                assert watcher.snapshots == 1


async def test_after_a_compaction_under_a_cut_line_a_snapshot_says_what_is_left(namespace: str) -> None:
    prefix = f"/{namespace}/"
    with etcd_server() as server:
        async with Etcd.open(server.url) as etcd, tcp_proxy(server.url) as line, Etcd.open(line.url) as far:
            await etcd.put(f"{prefix}stays", b"1")
            await etcd.put(f"{prefix}goes", b"1")
            async with watching(far, prefix) as watcher:
                line.cut()
                await until(lambda: not watcher.watch.live, "the cut")
                await etcd.delete(f"{prefix}goes")
                revision = await etcd.put(f"{prefix}comes", b"1")
                etcdctl(server.url, "compaction", "--physical", str(revision))
                await line.mend()
                await watcher.until(f"{prefix}goes", None)
                assert watcher.snapshots == 2
                assert watcher.standing == {f"{prefix}stays": b"1", f"{prefix}comes": b"1"}
                await until(lambda: watcher.watch.live, "the watch after the snapshot")
                await etcd.put(f"{prefix}goes", b"again")
                await watcher.until(f"{prefix}goes", b"again")


async def test_what_is_too_big_for_one_answer_comes_in_fragments_and_is_told_whole(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragments: list[bool] = []
    checked = watch._checked
    monkeypatch.setattr(watch, "_checked", lambda answer: fragments.append(answer.fragment) or checked(answer))
    prefix = f"/{namespace}/"
    with etcd_server(options={"max-request-bytes": "65536"}) as server:  # an answer is cut above that and 512 KiB
        async with Etcd.open(server.url) as etcd:
            before = await etcd.range(prefix)
            for i in range(40):
                await etcd.put(f"{prefix}{i}", bytes(60_000))
            watcher = Watcher(etcd, prefix)
            watcher.watch._next = before.revision + 1  # as after a cut, without the wait for it
            task = asyncio.create_task(watcher.run())
            await watcher.until(f"{prefix}39", bytes(60_000))
            task.cancel()
            assert len(watcher.versions) == 40
            assert any(fragments), "nothing was too big"
            assert len(watcher.items) < len(fragments) - 1


async def test_it_resumes_after_what_was_told_although_the_answer_s_header_is_ahead(
    etcd_url: str, namespace: str
) -> None:
    prefix = f"/{namespace}/"
    async with Etcd.open(etcd_url) as etcd:
        before = await etcd.range(prefix)
        puts = 2_500  # etcd hands on a thousand revisions at a time, each answer with the newest revision in its header
        for _ in range(0, puts, 500):
            await asyncio.gather(*(etcd.put(f"{prefix}a", b"x") for _ in range(500)))
        watch = etcd.watch(prefix)
        watch._next = before.revision + 1
        versions: list[int] = []
        async with asyncio.timeout(15):
            while len(versions) < puts:
                async with contextlib.aclosing(aiter(watch)) as items:
                    item = await anext(items)  # and the line is cut
                assert isinstance(item, Changes)
                versions += [kv.version for kv, _ in item.changes]
        assert versions == list(range(1, puts + 1))


async def test_a_store_that_was_restored_from_a_backup_is_listed_again(namespace: str) -> None:
    # The watch would otherwise wait for a revision that is still to come, and say nothing until then.
    prefix = f"/{namespace}/"
    with etcd_server() as old, etcd_server() as restored:
        async with Etcd.open(old.url) as etcd, Etcd.open(restored.url) as after, tcp_proxy(old.url) as line:
            for i in range(20):
                await etcd.put(f"{prefix}{i}", b"x")
            await after.put(f"{prefix}0", b"from the backup")
            async with Etcd.open(line.url) as far, watching(far, prefix) as watcher:
                line.cut()
                line.aim(restored.url)
                await line.mend()
                await watcher.until(f"{prefix}0", b"from the backup")
                assert watcher.standing == {f"{prefix}0": b"from the backup"}


async def test_a_store_that_was_made_anew_is_found_out_although_it_was_written_to_as_often(namespace: str) -> None:
    # Revisions alone show no gap, and a key that only the old store had would stand for ever.
    prefix = f"/{namespace}/"
    with etcd_server() as old, etcd_server() as new:
        async with Etcd.open(old.url) as etcd, Etcd.open(new.url) as after, tcp_proxy(old.url) as line:
            await etcd.put(f"{prefix}only-here", b"x")
            await etcd.put(f"{prefix}a", b"old")
            async with Etcd.open(line.url) as far, watching(far, prefix) as watcher:
                line.cut()
                for i in range(20):
                    await after.put(f"{prefix}a", b"%d" % i)
                line.aim(new.url)
                await line.mend()
                await watcher.until(f"{prefix}a", b"19")
                assert watcher.standing == {f"{prefix}a": b"19"}
                await after.put(f"{prefix}a", b"told")
                await watcher.until(f"{prefix}a", b"told")


async def test_a_watch_that_begins_while_etcd_is_down_begins_when_it_is_up(namespace: str) -> None:
    with etcd_server() as server:
        async with tcp_proxy(server.url) as line, Etcd.open(line.url, patience=0.2) as etcd:
            line.cut()
            watcher = Watcher(etcd, f"/{namespace}/")
            task = asyncio.create_task(watcher.run())
            with contextlib.suppress(EtcdUnavailable):
                await etcd.get("/x")
            assert not watcher.items
            await line.mend()
            await until(lambda: watcher.snapshots, "the first list")
            task.cancel()
