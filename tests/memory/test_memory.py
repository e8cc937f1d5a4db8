# SPDX-License-Identifier: Apache-2.0
"""A node counts bytes: it refuses what it has no memory for, leaves others' workflows alone, and lives.

`python -m tests.memory.parked` fills a node of 1.2 GB; here it is a quarter of that.
"""

from __future__ import annotations

import json
import logging
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nervenet import errors
from nervenet.node.guards import memory
from nervenet.node.guards.memory import PER_WORKFLOW, Memory, available, cost_of
from nervenet.node.node import Node
from nervenet.node.services import serve
from tests.memory.app import mesh
from tests.memory.parked import APP, INPUTS, accepts_again, fill
from tests.services.world import World
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

pytestmark = pytest.mark.long

MiB = 1 << 20


# ── the numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Used:
    """A process that uses what the test says, at the time that the test says."""

    def __init__(self) -> None:
        self.bytes, self.at = 0, 100.0

    def memory(self, limit: int) -> Memory:
        return Memory(limit, resident=lambda: self.bytes, now=lambda: self.at)


def test_what_is_promised_counts_for_a_second_and_then_as_what_it_really_takes() -> None:
    used = Used()
    one = used.memory(100 * MiB)
    assert one.fits(100 * MiB) and not one.fits(100 * MiB + 1)
    one.promise(60 * MiB)
    assert not one.fits(50 * MiB), "it is not resident yet"
    used.at, used.bytes = 100.5, 30 * MiB
    assert one.used == 90 * MiB, "some of it is counted twice for a moment, rather than not at all"
    used.at = 101.0
    assert one.used == 30 * MiB


def test_a_node_is_short_of_memory_until_it_has_clearly_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "return_free_memory", lambda: None)
    used = Used()
    one = used.memory(100 * MiB)
    for at, mib, short in [(1, 90, False), (2, 95, True), (3, 90, True), (4, 84, False), (5, 90, False)]:
        used.at, used.bytes = 100.0 + at, mib * MiB
        assert one.short == short, (at, mib)


def test_json_costs_by_its_values_and_text_by_its_length() -> None:
    assert cost_of(b'"small"') == PER_WORKFLOW
    text, records = json.dumps(INPUTS["text"]).encode(), json.dumps(INPUTS["records"]).encode()
    assert 2 * len(text) <= cost_of(text) < 3 * len(text)
    assert cost_of(records) > 8 * len(records)


def test_the_default_is_a_part_of_the_least_limit(tmp_path: Path) -> None:
    group = tmp_path / "group"
    (group / "a" / "b").mkdir(parents=True)
    (group / "a" / "memory.max").write_text("700000000\n")
    (group / "a" / "b" / "memory.max").write_text("max\n")
    own = tmp_path / "cgroup"
    own.write_text("0::/a/b\n")
    assert memory._cgroup_limits(own, group) == [700_000_000]
    assert 0 < Memory(None).limit <= available() * memory.PART + 1


# ── one node and two ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[World]:
    world = World(redis_url, etcd_url, namespace)
    async with world.stack:
        yield world


async def node(world: World, used: Used) -> Node:
    config = world.config(listen="127.0.0.1:0")
    one = await world.stack.enter_async_context(Node.open(mesh.workflows, config, serve=serve))
    one.admission.memory = used.memory(1_000 * MiB)
    return one


async def test_starts_go_where_there_is_memory_and_are_refused_where_there_is_none(world: World) -> None:
    here, there = Used(), Used()
    one, two = await node(world, here), await node(world, there)
    raw = await world.raw(one)
    await until(lambda: len(one.placement.able("parked", 1)) == 2)
    here.at, here.bytes = 200.0, 990 * MiB
    await raw.call("StartWorkflow", workflow_id="first", definition="parked", input={"json": "[]"})
    await until(lambda: "first" in two.hosted.coordinators)
    there.at, there.bytes = 200.0, 990 * MiB
    await until(lambda: one.context.table.nodes[two.node_id].full)
    with pytest.raises(errors.Overloaded) as refused:
        await raw.call("StartWorkflow", workflow_id="second", definition="parked", input={"json": "[]"})
    assert refused.value.reason == "MEMORY_FULL" and refused.value.retry_after is not None
    assert refused.value.metadata["limit"] == str(1_000 * MiB)
    await raw.call("StartWorkflow", workflow_id="first", definition="parked", input={"json": "[]"})  # it is there
    here.at, here.bytes = 300.0, 100 * MiB
    await raw.call("StartWorkflow", workflow_id="second", definition="parked", input={"json": "[]"})
    assert "second" in one.hosted.coordinators


async def test_one_input_that_is_too_large_is_refused_where_smaller_ones_fit(world: World) -> None:
    used = Used()
    one = await node(world, used)
    raw = await world.raw(one)
    used.at, used.bytes = 200.0, 949 * MiB
    large = json.dumps([0] * 500_000, separators=(",", ":"))
    with pytest.raises(errors.Overloaded) as refused:
        await raw.call("StartWorkflow", workflow_id="large", definition="parked", input={"json": large})
    assert refused.value.reason == "MEMORY_FULL" and int(refused.value.metadata["needed"]) > 51 * MiB
    await raw.call("StartWorkflow", workflow_id="small", definition="parked", input={"json": "[]"})


async def test_an_adopter_without_memory_leaves_workflows_to_others_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    used = Used()
    poor = await node(world, used)
    used.at, used.bytes = 200.0, 990 * MiB
    loader = poor.loader
    with caplog.at_level(logging.WARNING, "nervenet.node.workflows.admission"):
        for n in range(3):
            assert not await loader.load(f"orphan-{n}", "n-gone")
    assert len([r for r in caplog.records if "left to others" in r.message]) == 1
    assert not any(await poor.context.ownership.owns(poor.node_id, ["orphan-0"]))


# ── a real process ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_node_refuses_before_it_dies_and_ends_what_it_accepted(host: ProcessMesh) -> None:
    (one,) = host.up(host.node(APP, NERVENET_MAX_MEMORY="256MiB"))
    resource.prlimit(one.pid, resource.RLIMIT_DATA, (400 * MiB, 400 * MiB))
    seen = await fill(host, one, 110, INPUTS["records"])
    assert 20 < seen.accepted < 100 and seen.reasons == {"MEMORY_FULL"}, seen
    assert seen.most_bytes < 300 * MiB, seen
    await accepts_again(host, one, INPUTS["records"])
