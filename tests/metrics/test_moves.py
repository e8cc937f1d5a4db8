# SPDX-License-Identifier: Apache-2.0
"""Every metric of docs/metrics.md moves when its cause happens: on real nodes and agents, real Redis and etcd.

The last test reads this file and test_processes.py: a metric that no test moves or shows fails it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nervenet import Mesh, NervenetError, Resolution, StartOptions
from nervenet.dev.servers import valkey
from nervenet.metrics import catalog
from nervenet.records import NOTHING, Outcome
from nervenet.wire import encode_entry
from tests.gateway.world import Stream, hello
from tests.metrics import app
from tests.metrics.world import MetricWorld
from tests.support.redis_servers import say
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[MetricWorld]:
    async with MetricWorld(app.mesh, redis_url, etcd_url, namespace) as world:
        yield world


async def test_an_archive_that_takes_nothing_and_then_all_of_it(world: MetricWorld, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    node = await world.node(archive=folder.as_uri(), retention="1s")
    await world.agent("greet")
    client = await world.client(node)
    place = folder / world.namespace
    place.rmdir()
    place.write_text("no folder")
    async with world.moves("nervenet.archive.failures"):
        await client.run(app.welcome, "Ada", id="w")
    await world.shows("nervenet.archive.waiting", 1)
    await world.shows_more("nervenet.archive.oldest.age", 1.0)
    async with world.moves("nervenet.archive.runs"), world.moves("nervenet.archive.io", by=500):
        place.unlink()
        place.mkdir()
    await world.shows("nervenet.archive.waiting", 0)
    await world.shows("nervenet.archive.oldest.age", 0)


async def test_a_run_that_is_gone_before_it_is_archived(world: MetricWorld, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    node = await world.node(archive=folder.as_uri(), retention="1s")
    await world.agent("greet")
    client = await world.client(node)
    place = folder / world.namespace
    place.rmdir()
    place.write_text("no folder")
    async with world.moves("nervenet.archive.failures"):
        await client.run(app.welcome, "Ada", id="first")  # while its batch waits for the folder, no other one is taken
    await client.run(app.welcome, "Ada", id="gone")
    await world.shows("nervenet.archive.waiting", 2)
    async with world.moves("nervenet.archive.lost"):
        keys = node.context.keys
        await node.context.link.call("DEL", keys.head("gone"), keys.journal("gone"))
        place.unlink()
        place.mkdir()


async def test_large_values(world: MetricWorld, tmp_path: Path) -> None:
    folder = (tmp_path / "blobs").as_uri()
    node = await world.node(blobs=folder, blob_threshold="1KiB", blob_grace="1s", retention="1s")
    await world.agent("greet", blobs=folder)
    client = await world.client(node)
    name = "A" * 10_000
    async with (
        world.moves("nervenet.blob.removed"),
        world.moves("nervenet.blob.io", by=20_000, direction="write"),
        world.moves("nervenet.blob.io", by=10_000, direction="read"),
    ):
        await client.run(app.welcome, name, id="w")
    place = tmp_path / "blobs" / world.namespace
    async with world.moves("nervenet.blob.failures", reason="away"):
        place.rename(place.with_name("elsewhere"))
        place.write_text("no folder")
        with pytest.raises(TimeoutError):  # the client tries again
            async with asyncio.timeout(2):
                await client.start(app.welcome, name, id="v")


async def test_a_workflow_that_succeeds(world: MetricWorld) -> None:
    node = await world.node()
    agent = await world.agent("greet", "wait", slots=3)
    client = await world.client(node)
    async with (
        world.moves("nervenet.workflow.started", by=3, definition="welcome"),
        world.moves("nervenet.workflow.closed", by=3, definition="welcome", outcome="succeeded"),
        world.moves("gen_ai.workflow.duration", by=3, gen_ai_workflow_name="welcome"),
        world.moves("nervenet.journal.entries", by=9),
        world.moves("nervenet.journal.io", by=300),
        world.moves("nervenet.task.sent", by=3, capability="greet", route="inbox"),
        world.moves("nervenet.task.attempts", by=3, capability="greet", outcome="succeeded"),
        world.moves("nervenet.task.schedule_to_start", by=3, capability="greet"),
        world.moves("nervenet.task.run.duration", by=3, capability="greet", outcome="succeeded"),
        world.moves("gen_ai.invoke_agent.duration", by=3, gen_ai_agent_name="greet"),
        world.moves("gen_ai.client.token.usage", by=3, gen_ai_request_model="small-model", gen_ai_token_type="input"),
        world.moves("gen_ai.client.token.usage", by=3, gen_ai_token_type="output", gen_ai_agent_name="greet"),
        world.moves("rpc.server.call.duration", rpc_method="nervenet.v1.CoordinatorService/StartWorkflows"),
        world.moves("nervenet.redis.commands", by=20),
        world.moves("nervenet.redis.batch.size"),
        world.moves("nervenet.redis.round_trip.duration"),
    ):
        for name in ("Ada", "Grace", "Joan"):
            assert await client.run(app.welcome, name) == f"Hello, {name}"
    tokens = next(
        value
        for labels, value in agent.metrics.one("gen_ai.client.token.usage").points  # type: ignore[union-attr]
        if labels[1] == "input"
    )
    assert tokens.total == 300  # type: ignore[union-attr]

    # while one runs
    await client.start(app.patient, "running")
    await world.shows("nervenet.workflow.open", 1, definition="patient", state="running")
    await world.shows("nervenet.agent.slots.used", 1, capability="wait")
    await world.shows("nervenet.mesh.slots", 1, use="used")
    await world.shows("nervenet.mesh.slots", 3, use="total")
    await world.shows("nervenet.agent.slots", 3)
    await world.shows_more("nervenet.journal.memory", 100)
    app.gate("running").set()
    await world.shows("nervenet.workflow.open", 0, definition="patient", state="running")
    await world.shows("nervenet.agent.slots.used", 0, capability="wait")


async def test_what_is_there_without_any_work(world: MetricWorld) -> None:
    async with (
        world.moves("rpc.client.call.duration", by=2, rpc_method="etcdserverpb.Lease/LeaseKeepAlive"),
        world.moves("process.cpu.time", by=0.01),
        world.moves("nervenet.loop.lag", by=4),
    ):
        await world.node(max_workflows=7)
        await world.agent("greet")
    await world.shows("nervenet.mesh.nodes", 1, state="active")
    await world.shows("nervenet.mesh.agents", 1, state="active")
    await world.shows("nervenet.mesh.serving", 1, capability="greet")
    await world.shows("nervenet.node.workflows.limit", 7)
    await world.shows("nervenet.build.info", 2)
    await world.shows_more("nervenet.node.memory", 1 << 20, use="used")
    await world.shows_more("process.memory.usage", 1 << 20)
    await world.shows_more("nervenet.lease.remaining", 1)
    left = world.value("nervenet.lease.remaining")
    await until(lambda: world.value("nervenet.lease.remaining") not in (None, left), "the lease runs and is renewed")


async def test_attempts_that_fail(world: MetricWorld) -> None:
    node = await world.node()
    await world.agent("fail")
    client = await world.client(node)
    async with (
        world.moves("nervenet.task.retries", by=2, capability="fail"),
        world.moves("nervenet.task.attempts", by=3, capability="fail", outcome="application"),
        world.moves("nervenet.workflow.closed", definition="doomed", outcome="failed"),
        world.moves("gen_ai.workflow.duration", gen_ai_workflow_name="doomed", error_type="LookupError"),
        world.moves("gen_ai.invoke_agent.duration", gen_ai_agent_name="fail", error_type="LookupError"),
    ):
        with pytest.raises(NervenetError):
            await client.run(app.doomed, "such thing")


async def test_a_full_node_refuses(world: MetricWorld) -> None:
    node = await world.node(max_workflows=1)
    client = await world.client(node)
    await world.shows("nervenet.node.full", 0)
    only = await client.start(app.sleeper, "the only one")
    await world.shows("nervenet.node.full", 1)
    await world.shows("nervenet.workflow.open", 1, definition="sleeper", state="parked")
    await world.shows("nervenet.workflow.hosted", 1, memory="loaded")
    assert node.unloader.unload_now(node.hosted.coordinators[only.id])
    await world.shows("nervenet.workflow.hosted", 1, memory="unloaded")
    await world.shows("nervenet.workflow.hosted", 0, memory="loaded")
    await world.shows("nervenet.workflow.open", 1, definition="sleeper", state="parked")
    async with world.moves("nervenet.workflow.replays", reason="woken"):
        node.unloader.load_soon(only.id)
    async with world.moves("nervenet.workflow.refused", reason="NODE_FULL"):
        raw = await world.raw(node)
        with pytest.raises(NervenetError):
            await raw.call("StartWorkflow", definition="sleeper", workflow_id="second", input={"json": b'"x"'})


async def test_questions(world: MetricWorld) -> None:
    node = await world.node()
    client = await world.client(node)
    async with world.moves("nervenet.escalation.asked", source="workflow"):
        run = await client.start(app.asker, "it")
    await world.shows("nervenet.escalation.open", 1, source="workflow")
    await world.shows_more("nervenet.escalation.oldest.age", 1)
    await world.shows("nervenet.workflow.open", 1, definition="asker", state="waiting_for_human")
    async with world.moves("nervenet.escalation.decisions", action="complete"):
        async for question in client.escalations():
            await client.resolve(question.id, Resolution.complete("yes"))
    assert await run.result(timeout=10) == "yes"
    await world.shows("nervenet.escalation.open", 0, source="workflow")
    await world.shows("nervenet.escalation.oldest.age", 0)
    async with world.moves("nervenet.escalation.decisions", action="expired"):
        assert await client.run(app.hasty, "it") == "no"


async def test_code_that_blocks_the_loop(world: MetricWorld) -> None:
    node = await world.node()
    client = await world.client(node)
    async with world.moves("nervenet.workflow.blocked", definition="endless"):
        await client.start(app.endless, "x")
    await world.shows("nervenet.workflow.open", 1, definition="endless", state="blocked")
    assert sum(node.context.metrics.registry.one("nervenet.loop.lag").points[0][1].counts[9:]) >= 1  # type: ignore[union-attr]


async def test_a_queue_that_nobody_serves_and_copies_of_its_task(world: MetricWorld) -> None:
    node = await world.node()
    client = await world.client(node)
    async with world.moves("nervenet.task.sent", capability="unserved", route="queue"):
        await client.start(app.nobody_then_sleep, "x")
    await world.shows("nervenet.queue.depth", 1, capability="unserved")
    await world.shows_more("nervenet.queue.oldest.age", 1, capability="unserved")
    await world.shows("nervenet.mesh.serving", 0, capability="unserved")

    # its entry is lost: the owner sends it again
    link, stream = node.context.link, node.context.keys.queue("unserved", "")
    ((entry_id, fields),) = await link.call("XRANGE", stream, "-", "+")
    async with world.moves("nervenet.task.resent", reason="lost"):
        await link.call("XDEL", stream, entry_id)

    # a second copy of it is read when the step is done
    served = Mesh("served")

    @served.agent
    async def unserved(name: str) -> str:
        return name

    async with world.moves("nervenet.task.duplicates", reason="done"):
        await world.agent(mesh=served, slots=1)
        await world.shows("nervenet.task.attempts", 1, capability="unserved", outcome="succeeded")
        await link.call("XADD", stream, "*", *fields)
    await world.shows("nervenet.queue.depth", 0, capability="unserved")
    await world.shows("nervenet.mesh.serving", 1, capability="unserved")


async def test_a_claim_that_is_lost_and_an_outcome_that_comes_second(world: MetricWorld) -> None:
    node = await world.node()
    await world.agent("wait")
    client = await world.client(node)
    journal = node.context.journal

    async def somebody_elses_outcome(run_id: str) -> None:
        await world.shows_more("nervenet.agent.slots.used", 0, capability="wait")
        entry = encode_entry(Outcome(NOTHING, None, "wait", b"", 1, "another"), "another")
        assert (await journal.append(run_id, 1, "task:wait", entry)).status == "new"

    async with world.moves("nervenet.task.claims_lost"):
        await client.start(app.patient, "lost", id="lost")
        await somebody_elses_outcome("lost")
    await world.shows("nervenet.agent.slots.used", 0, capability="wait")
    async with world.moves("nervenet.task.duplicates", reason="outcome"):
        await client.start(app.patient, "second", id="second")
        await somebody_elses_outcome("second")
        app.gate("second").set()


async def test_a_record_that_nobody_can_read(world: MetricWorld) -> None:
    node = await world.node()
    async with world.moves("nervenet.records.unreadable"):
        await node.context.link.call("XADD", node.context.keys.wake(node.node_id), "*", "what", "ever")


async def test_an_agent_that_fails_everything(world: MetricWorld) -> None:
    node = await world.node()
    bad = Mesh("bad")

    @bad.agent
    async def greet(name: str) -> str:
        raise OSError("no model")

    await world.agent("greet")
    await world.agent(mesh=bad)
    client = await world.client(node)
    async with world.moves("nervenet.agent.ejections", reason="fails_everything"):
        runs = [client.run(app.welcome, f"{at}") for at in range(24)]
        await asyncio.gather(*runs)
    await world.shows("nervenet.agent.ejected", 1)


async def test_a_hand_over(world: MetricWorld) -> None:
    first = await world.node()
    client = await world.client(first)
    run = await client.start(app.sleeper, "moves")
    await world.node()
    await until(lambda: len(first.context.table.nodes) == 2, "the nodes know each other")
    async with (
        world.moves("nervenet.workflow.handovers"),
        world.moves("nervenet.workflow.replays", reason="loaded"),
        world.moves("nervenet.workflow.replay.duration"),
    ):
        await first.drain()
    other = await world.client(world.nodes[1])
    await other.handle(run.id).cancel()


async def test_an_agent_that_speaks_grpc(world: MetricWorld) -> None:
    node = await world.node()
    async with (
        world.moves("nervenet.gateway.agents"),
        Stream(node.address, (("nervenet-namespace", world.namespace),)) as stream,
    ):
        await stream.say(hello=hello("unserved"))
        await stream.hear("welcome")
        client = await world.client(node)
        await world.shows("nervenet.gateway.agents", 1)
        async with (
            world.moves("nervenet.task.schedule_to_start", capability="unserved"),
            world.moves("nervenet.task.attempts", capability="unserved", outcome="succeeded"),
            world.moves("gen_ai.client.token.usage", gen_ai_request_model="far-model", gen_ai_token_type="input"),
        ):
            run = await client.start(app.nobody, "x")
            task = await stream.hear("task")
            answer = {"output": {"json": b'"done"'}, "attempt": task.attempt}
            usage = [{"model": "far-model", "input_tokens": 3, "output_tokens": 1}]
            await stream.say(task_completion={"task_id": task.task_id, "result": {**answer, "usage": usage}})
            assert await run.result(timeout=10) == "done"


async def test_redis_that_goes_and_comes_back(etcd_url: str, namespace: str) -> None:
    with valkey() as server:
        async with MetricWorld(app.mesh, server.url, etcd_url, namespace) as world:
            node = await world.node()
            await world.shows("nervenet.redis.connected", 1)
            async with world.moves("nervenet.redis.reconnects"), world.moves("nervenet.redis.retries"):
                asked = asyncio.ensure_future(node.context.link.call("PING"))
                await asked
                server.kill()
                await world.shows("nervenet.redis.connected", 0)
                asked = asyncio.ensure_future(node.context.link.call("PING"))
                await server.restart()
                assert await asked == b"PONG"
            await world.shows("nervenet.redis.connected", 1)


async def test_a_part_that_keeps_failing(etcd_url: str, namespace: str) -> None:
    """Somebody takes the permission to read streams away from the node's user: it no longer hears of anything."""
    with valkey() as server:
        async with MetricWorld(app.mesh, server.url, etcd_url, namespace) as world:
            node = await world.node()
            await world.shows("nervenet.node.failing_parts", 0)
            say(server, "ACL", "SETUSER", "default", "-xread")
            await world.shows("nervenet.node.failing_parts", 1)
            assert node.failing == {"WakeReader.run"}, "health says NOT_SERVING, and the log names the part"
            say(server, "ACL", "SETUSER", "default", "+xread")


async def test_labels_of_callers_count_only_if_allowed_and_only_so_many(world: MetricWorld) -> None:
    node = await world.node(metrics_labels="tenant")
    client = await world.client(node)
    options = StartOptions(labels={"tenant": "acme", "secret": "x"})
    async with world.moves("nervenet.workflow.closed", definition="empty", outcome="succeeded", tenant="acme"):
        await client.run(app.empty, "x", options=options)
    assert "secret" not in json.dumps([m.labels for m, _ in node.context.metrics.registry.collect()])
    async with world.moves("nervenet.metrics.labels_dropped", metric="nervenet.workflow.started"):
        for at in range(0, 510, 30):
            await asyncio.gather(
                *(
                    client.run(app.empty, "x", options=StartOptions(labels={"tenant": f"t{tenant}"}))
                    for tenant in range(at, at + 30)
                )
            )
    assert (world.value("nervenet.workflow.started", tenant="_other") or 0) >= 10
    assert world.value("nervenet.workflow.started") == 511


async def test_two_nodes_in_one_process_do_not_mix(world: MetricWorld) -> None:
    first, second = await world.node(), await world.node()
    client = await world.client(first)
    for at in range(10):
        await client.run(app.empty, f"{at}")
    one, other = first.context.metrics.registry, second.context.metrics.registry

    def started(registry: object) -> float:
        points = registry.one("nervenet.workflow.started").points  # type: ignore[attr-defined]
        return sum(value for _, value in points)

    assert (started(one), started(other)) == (10, 0)
    assert one.one("nervenet.redis.commands") != other.one("nervenet.redis.commands")


def test_every_metric_is_proved() -> None:
    here = Path(__file__).parent
    text = (here / "test_moves.py").read_text() + (here / "test_processes.py").read_text()
    proved = set(re.findall(r'\.(?:moves|shows|shows_more)\(\s*"([a-z_.]+)"', text))
    assert proved == set(catalog.BY_NAME)
