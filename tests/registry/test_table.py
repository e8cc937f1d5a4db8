# SPDX-License-Identifier: Apache-2.0
"""The table against a real etcd: what it shows, what it tells, and what it does without etcd."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nervenet import wire
from nervenet.dev.servers import etcd as etcd_server
from nervenet.registry.codec import PROTO_JSON
from nervenet.registry.etcd import Etcd, EtcdRefused
from nervenet.registry.layout import Layout
from nervenet.registry.selection import require
from nervenet.registry.session import Session
from nervenet.registry.table import ChangeKind, Table, TableChange
from nervenet.registry.tombstone import certify_death
from nervenet.registry.views import AgentView, CapabilityView, DefinitionView, LoadView, NodeView
from nervenet.v1 import agent_pb2
from tests.support.etcd_servers import etcdctl
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until


def record(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def agent(name: str = "ocr", **fields: Any) -> bytes:
    return record(name=name, capabilities=[{"name": name, "slots": 2}], state="AGENT_STATE_ACTIVE", slots=2, **fields)


class Heard(list[TableChange]):
    """What a listener was told."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        table.on_change(self.append)

    async def until(self, how: ChangeKind, name: str, within: float = 15) -> TableChange:
        await until(lambda: any((n.how, n.id) == (how, name) for n in self), f"{how} of {name}", within)
        return next(n for n in reversed(self) if (n.how, n.id) == (how, name))


@contextlib.asynccontextmanager
async def registry(url: str, namespace: str) -> AsyncIterator[tuple[Etcd, Table, Layout, Heard]]:
    async with Etcd.open(url) as etcd, Table(etcd, namespace) as table:
        yield etcd, table, table.layout, Heard(table)


async def test_it_shows_what_stood_before_and_what_comes(etcd_url: str, namespace: str) -> None:
    async with Etcd.open(etcd_url) as etcd, await Session.open(etcd) as session:
        layout = Layout(namespace)
        await session.put(layout.load("ocr-1"), record(active=1, slots=2))
        await session.put(layout.agent("ocr-1"), agent())
        async with Table(etcd, namespace) as table:
            heard = Heard(table)
            assert table.synced.is_set()
            assert table.agents["ocr-1"].slots == 2
            assert table.loads["ocr-1"].active == 1
            assert table.lease("ocr-1") == session.id
            assert table.lives("ocr-1")
            await until(lambda: table.fresh, "the watch")
            await session.put(layout.agent("ocr-2"), agent())
            assert await heard.until(ChangeKind.PUT, "ocr-2") == (
                "agents",
                "ocr-2",
                None,
                table.agents["ocr-2"],
                ChangeKind.PUT,
                table.revision,
            )
            choice = table.pools.choose(require("ocr"))
            assert choice.agent is not None
            assert choice.agent.agent_id == "ocr-2", "ocr-1 is half full"
            assert repr(table) == f"<Table {namespace} 0 nodes, 2 agents, fresh>"


async def test_load_is_told_apart_from_records(etcd_url: str, namespace: str) -> None:
    async with registry(etcd_url, namespace) as (etcd, table, layout, heard):
        await etcd.put(layout.agent("ocr-1"), agent())
        await etcd.put(layout.load("ocr-1"), record(active=2, slots=2))
        news = await heard.until(ChangeKind.LOAD, "ocr-1")
        assert isinstance(news.new, LoadView)
        assert (news.kind, news.old, news.new.active) == ("load", None, 2)
        assert [n.how for n in heard] == [ChangeKind.PUT, ChangeKind.LOAD]
        assert table.pools.choose(require("ocr")).agent is None
        await etcd.put(layout.agent("ocr-1"), agent())
        await etcd.put(layout.load("ocr-1"), record(active=1, slots=2))
        await until(lambda: len(heard) == 3, "the second load")
        assert heard[2].how is ChangeKind.LOAD, "a record that says the same is no news"


async def test_a_lease_that_goes_is_an_expiry_and_a_tombstone_is_proof(etcd_url: str, namespace: str) -> None:
    async with registry(etcd_url, namespace) as (etcd, table, layout, heard):
        leaver, dead = await Session.open(etcd), await Session.open(etcd)
        await leaver.put(layout.agent("left-1"), agent())
        await dead.put(layout.agent("dead-1"), agent())
        await dead.put(layout.load("dead-1"), record(active=1))
        await dead.put(layout.node("n-1"), record(address="a:1"))
        await heard.until(ChangeKind.PUT, "n-1")
        await leaver.close()
        news = await heard.until(ChangeKind.EXPIRED, "left-1")
        assert isinstance(news.old, AgentView)
        assert news.new is None
        assert news.how.removed
        for victim in ("dead-1", "n-1"):
            await certify_death(etcd, layout, victim, table.lease(victim) or dead.id, reason="refused", by="n-2")
        await heard.until(ChangeKind.TOMBSTONED, "dead-1")
        await until(lambda: not table.nodes and not table.loads, "the end of the node and the load")
        assert json.loads(table.tombstone("dead-1") or b"") == {"reason": "refused", "by": "n-2"}
        assert not table.lives("dead-1")
        assert table.lease("dead-1") == 0
        await asyncio.wait_for(dead.lost.wait(), 5)
        await dead.close()


async def test_an_outage_leaves_the_table_as_it_was_and_says_so(namespace: str) -> None:
    with etcd_server() as server:
        async with registry(server.url, namespace) as (etcd, table, layout, heard):
            await etcd.put(layout.agent("ocr-1"), agent())
            await heard.until(ChangeKind.PUT, "ocr-1")
            server.kill()
            await until(lambda: not table.fresh, "the outage")
            assert table.pools.choose(require("ocr")).agent is not None
            await server.restart()
            await until(lambda: table.fresh, "the return")
            await etcd.put(layout.agent("ocr-2"), agent())
            await heard.until(ChangeKind.PUT, "ocr-2")
            assert [n.id for n in heard] == ["ocr-1", "ocr-2"], "nothing was told twice"


async def test_what_was_deleted_and_compacted_while_it_was_cut_off_is_told_like_any_other(namespace: str) -> None:
    with etcd_server() as server:
        async with (
            Etcd.open(server.url) as near,
            tcp_proxy(server.url) as line,
            registry(line.url, namespace) as (_, table, layout, heard),
        ):
            for name in ("stays-1", "expires-1", "dies-1"):
                await near.put(layout.agent(name), agent())
            await near.put(layout.load("stays-1"), record(active=1))
            await heard.until(ChangeKind.LOAD, "stays-1")
            before = len(heard)
            line.cut()
            await until(lambda: not table.fresh, "the cut")
            await near.put(layout.tombstone("dies-1"), record(reason="refused"))
            await near.delete(layout.agent("dies-1"))
            await near.delete(layout.agent("expires-1"))
            revision = await near.put(layout.agent("comes-1"), agent())
            etcdctl(server.url, "compaction", "--physical", str(revision))
            await line.mend()
            await heard.until(ChangeKind.EXPIRED, "expires-1")
            told = {(n.id, n.how) for n in heard[before:]}
            assert told == {
                ("expires-1", ChangeKind.EXPIRED),
                ("dies-1", ChangeKind.TOMBSTONED),
                ("comes-1", ChangeKind.PUT),
            }
            assert set(table.agents) == {"stays-1", "comes-1"}
            assert {c.agent_id for c in table.pools.candidates("ocr")} == {"stays-1", "comes-1"}


async def test_a_record_that_makes_no_sense_is_left_out_and_harms_nobody(etcd_url: str, namespace: str) -> None:
    async with registry(etcd_url, namespace) as (etcd, table, layout, heard):
        for nonsense in (b"", b"{", b"[]", b'{"capabilities": 7}', b'{"capabilities": [{}]}', b"\xff\xfe\xfd"):
            await etcd.put(layout.agent("odd-1"), nonsense)
        await etcd.put(layout.load("odd-1"), b'{"sampleTime": "yesterday"}')
        await etcd.put(f"{layout.prefix}futures/x", b"of a later release")
        await etcd.put(layout.agent("ocr-1"), agent(somethingNew={"a": [1]}))
        await heard.until(ChangeKind.PUT, "ocr-1")
        assert set(table.agents) == {"ocr-1"}
        await etcd.put(layout.agent("ocr-1"), b"broken")
        await heard.until(ChangeKind.EXPIRED, "ocr-1")


async def test_a_listener_that_fails_hides_nothing_from_the_others(etcd_url: str, namespace: str) -> None:
    async with Etcd.open(etcd_url) as etcd, Table(etcd, namespace) as table:

        def broken(news: TableChange) -> None:
            raise RuntimeError(news.id)

        stop = table.on_change(broken)
        heard = Heard(table)
        await etcd.put(table.layout.agent("ocr-1"), agent())
        await heard.until(ChangeKind.PUT, "ocr-1")
        stop()


async def test_namespaces_do_not_see_each_other(etcd_url: str, namespace: str) -> None:
    async with registry(etcd_url, namespace) as (etcd, table, layout, heard):
        await etcd.put(Layout(namespace + "2").agent("theirs-1"), agent())
        await etcd.put(layout.agent("ours-1"), agent())
        await heard.until(ChangeKind.PUT, "ours-1")
        assert set(table.agents) == {"ours-1"}


async def test_a_table_that_etcd_refuses_says_so_at_the_start(namespace: str) -> None:
    with etcd_server() as server:
        etcdctl(server.url, "user", "add", "root:root")
        etcdctl(server.url, "user", "grant-role", "root", "root")
        etcdctl(server.url, "auth", "enable")
        async with Etcd.open(server.url) as etcd:
            with pytest.raises(EtcdRefused):
                async with Table(etcd, namespace):
                    pass


async def test_nodes_that_can_own_a_definition(etcd_url: str, namespace: str) -> None:
    def node(state: str, *definitions: tuple[str, int, str]) -> bytes:
        rows = [{"name": n, "version": v, "runtime": p} for n, v, p in definitions]
        return record(address="h:1", state=f"AGENT_STATE_{state}", definitions=rows)

    async with registry(etcd_url, namespace) as (etcd, table, layout, heard):
        await etcd.put(layout.node("n-1"), node("ACTIVE", ("review", 1, "3.11")))
        await etcd.put(layout.node("n-2"), node("ACTIVE", ("review", 2, "3.11"), ("review", 1, "3.12")))
        await etcd.put(layout.node("n-3"), node("DRAINING", ("review", 1, "3.11")))
        await etcd.put(layout.node("n-4"), node("ACTIVE", ("review", 1, "3.11")))
        await heard.until(ChangeKind.PUT, "n-4")
        able = table.nodes_for("review", 1, "3.11")
        assert sorted(n.id for n in able) == ["n-1", "n-4"]
        assert sorted(n.id for n in table.nodes_for("review", 1, "3.11", draining=True)) == ["n-1", "n-3", "n-4"]
        assert table.nodes_for("audit", 1, "3.11") == []


def test_the_contract_s_messages_are_read_as_the_views_say() -> None:
    message = agent_pb2.AgentRecord(
        agent_id="ocr-1",
        name="ocr",
        capabilities=[agent_pb2.Capability(name="ocr", version="2", labels={"model": "large"}, slots=3)],
        state=agent_pb2.AGENT_STATE_DRAINING,
        transport=agent_pb2.TRANSPORT_GATEWAY,
        control_endpoint="h:7",
        labels={"region": "eu"},
        inbox="n-1",
        slots=5,
    )
    data = wire.to_json(message)
    assert PROTO_JSON.agent("ocr-1", data) == AgentView(
        "ocr-1",
        "ocr",
        {"ocr": CapabilityView("ocr", "2", {"model": "large"}, 3)},
        "DRAINING",
        "GATEWAY",
        "h:7",
        "n-1",
        {"region": "eu"},
        5,
        data,
    )
    load = agent_pb2.Load(active=1, queued=2, slots=3, error_rate=0.5, active_by_capability={"ocr": 1})
    load.sample_time.FromMilliseconds(1_700_000_000_123)
    load.average_task_time.FromMilliseconds(1_250)
    data = wire.to_json(load)
    assert PROTO_JSON.load("ocr-1", data) == LoadView(1, 2, 3, 1_700_000_000_123, {"ocr": 1}, 0.5, 1_250, data)
    node = agent_pb2.NodeRecord(
        node_id="n-1",
        address="h:1",
        definitions=[agent_pb2.DefinitionRef(name="review", version=2, runtime="3.11", fingerprint="f")],
        state=agent_pb2.AGENT_STATE_ACTIVE,
        owned_workflows=4,
        max_workflows=100,
    )
    data = wire.to_json(node)
    definitions = frozenset({DefinitionView("review", 2, "3.11", "f")})
    assert PROTO_JSON.node("n-1", data) == NodeView("n-1", "h:1", definitions, "ACTIVE", 4, 100, record=data)


async def test_it_lists_again_after_whatever_went_wrong(
    etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, errors = Table._take, [ValueError("news that no version of ours tells")]

    def fails(self: Table, item: Any) -> None:
        if self.synced.is_set() and errors:
            raise errors.pop()
        take(self, item)

    monkeypatch.setattr(Table, "_take", fails)
    async with registry(etcd_url, namespace) as (etcd, table, layout, heard):
        await etcd.put(layout.agent("ocr-1"), agent())  # of this it hears nothing but by the next list
        await heard.until(ChangeKind.PUT, "ocr-1")
        assert not errors
        await etcd.put(layout.agent("ocr-2"), agent())
        await heard.until(ChangeKind.PUT, "ocr-2")
        assert table.fresh
