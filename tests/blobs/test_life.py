# SPDX-License-Identifier: Apache-2.0
"""A value lives as long as its workflow. What is missing costs the one workflow that needs it, and says what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nervenet import errors
from nervenet.blobs.reference import Reference
from nervenet.client.start_stream import StartStream
from nervenet.node.node import Node
from nervenet.node.recovery.blob_sweep import BlobSweep
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import payload_out
from tests.archive.world import lines_in
from tests.blobs.stories import text
from tests.blobs.world import World, result, run, start
from tests.encryption.keys import codec, key_file
from tests.gateway.world import Stream, hello
from tests.support.waiting import until

SIZE = 100_000


def sweep_of(node: Node) -> BlobSweep:
    assert node.context.blobs is not None
    return BlobSweep(node.context, node.context.blobs)


def aged(*paths: Path) -> None:
    """As if they had been written long ago."""
    for path in paths:
        os.utime(path, (1_000_000_000, 1_000_000_000))


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_values_are_removed_with_their_workflow(world: World) -> None:
    node, raw = await world.up(retention="1s", blob_grace="1s")
    await run(raw, "w", "there_and_back", SIZE)
    assert len(world.objects("w")) == 3
    await start(raw, "open", "waits", text(SIZE))
    await world.forgotten(node, "w")
    await until(lambda: not world.objects("w"), "the sweep of the node has removed them", 30)
    await until(lambda: not any(path.name == "w" for path in world.folder.rglob("*")), "and the folder", 30)
    assert len(world.objects("open")) == 1, "what a workflow has stays, however old it is"
    await raw.call("SignalWorkflow", workflow_id="open", signal="more", payload={"json": '"!"'})
    assert await result(raw, "open") == text(SIZE) + "!"


async def test_a_sweep_needs_two_looks_and_an_old_value(world: World) -> None:
    """A process that writes a value writes its reference soon, and nodes write back a head that Redis has lost."""
    node, _ = await world.up(agent=False)
    assert node.context.blobs is not None
    await node.context.blobs.store.write("orphan", 1, b"x" * SIZE, SIZE)
    sweep = sweep_of(node)
    assert [await sweep.walk() for _ in range(3)] == [0, 0, 0], "it is young"
    aged(*world.objects("orphan"))
    assert [await sweep_of(node).walk() for _ in range(2)] == [0, 0], "each look is the first one"
    assert await sweep.walk() == 1
    assert world.objects("orphan") == []


async def test_earlier_runs_leave_what_the_present_one_has(world: World) -> None:
    """Six runs, each with its input; the signal came in the first one and is read in the last."""
    node, raw = await world.up()
    await start(raw, "w", "laps", {"left": 0, "words": ""})
    await raw.call("SignalWorkflow", workflow_id="w", signal="more", payload={"json": '"first"'})
    assert await result(raw, "w") == "0 first"
    words = text(SIZE)
    await start(raw, "v", "laps", {"left": 5, "words": words})
    signal = {"json": json.dumps(text(SIZE, "s"))}
    await raw.call("SignalWorkflow", workflow_id="v", signal="more", payload=signal)
    assert await result(raw, "v") == f"{len(words)} {text(SIZE, 's')}"
    before = world.objects("v")
    aged(*before)
    sweep = sweep_of(node)
    removed = await sweep.walk()
    assert removed >= 6
    assert len(world.objects("v")) == len(before) - removed
    told = (await raw.call("ListJournal", workflow_id="v", payload_format="PAYLOAD_FORMAT_RAW")).entries
    assert [len(one.signal.payload.json) for one in told if one.name.startswith("signal:")] == [SIZE]
    assert await sweep.walk() == 0


async def test_the_archive_has_its_own_copy(world: World, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    node, raw = await world.up(archive=archive.as_uri(), retention="1s", blob_grace="1s")
    await run(raw, "w", "there_and_back", SIZE)
    await world.forgotten(node, "w")
    await until(lambda: not world.objects("w"), "the blob store has nothing of it", 30)
    (line,) = lines_in(archive / world.namespace)
    assert line["output"] == {"length": SIZE - 2, "words": text(SIZE, "g")}
    told = await raw.call("GetWorkflow", workflow_id="w", payload_format="PAYLOAD_FORMAT_RAW")
    assert told.workflow.archived
    assert len(json.loads(told.workflow.output.json)["words"]) == SIZE - 2


# ── what is missing ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("damage", ["missing", "truncated", "unreadable"])
async def test_a_missing_value_blocks_its_workflow_and_no_other(world: World, damage: str) -> None:
    node, raw = await world.up(agent=False)
    for each in ("w", "other"):
        await start(raw, each, "waits", text(SIZE))
        coordinator = await until(lambda each=each: node.hosted.get(each))
        node.hosted.forget(coordinator)
    (path,) = world.objects("w")
    kept = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(kept[: SIZE // 2] if damage == "truncated" else b"nonsense")
    await node.loader.load("w")
    await node.loader.load("other")
    told = await until(lambda: blocked(raw, "w"), "w is BLOCKED")
    assert path.name in told
    assert "Restore that object" in told
    await raw.call("SignalWorkflow", workflow_id="other", signal="more", payload={"json": '"!"'})
    assert await result(raw, "other") == text(SIZE) + "!"
    path.write_bytes(kept)
    await raw.call("RetryWorkflow", workflow_id="w")
    await raw.call("SignalWorkflow", workflow_id="w", signal="more", payload={"json": '"!"'})
    assert await result(raw, "w") == text(SIZE) + "!"


async def blocked(raw: object, workflow_id: str) -> str:
    told = (await raw.call("GetWorkflow", workflow_id=workflow_id)).workflow  # type: ignore[attr-defined]
    return str(told.blocked) if told.HasField("blocked") else ""


async def test_an_agent_without_the_store_fails_its_call_and_says_what_to_set(world: World) -> None:
    node, raw = await world.up(agent=False)
    await world.agent(node)
    found = await run(raw, "w", "careful", text(SIZE))
    assert found.startswith("CodecError: measure: the input: it is in the blob store, but NERVENET_BLOBS is not set")


async def test_an_agent_that_does_not_find_its_input_fails_its_call(world: World, tmp_path: Path) -> None:
    node, raw = await world.up(agent=False)
    other = (tmp_path / "other").as_uri()
    await world.agent(node, blobs=other)
    found = await run(raw, "w", "careful", text(SIZE))
    assert found.startswith("BlobMissing: measure: the input: a value of 100,000 bytes is not in the blob store:")


# ── forged references ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_callers_cannot_name_a_value_of_the_store(world: World) -> None:
    _, raw = await world.up(agent=False)
    await start(raw, "victim", "waits", text(SIZE, "v"))
    (path,) = world.objects("victim")
    forged = payload_out(Reference("victim", path.name, SIZE, path.name.split("-")[1]).payload())
    await start(raw, "mine", "collects", 1)
    calls = (
        ("StartWorkflow", {"workflow_id": "w", "definition": "echo", "input": forged}),
        ("SignalWorkflow", {"workflow_id": "mine", "signal": "more", "payload": forged}),
        ("RunTask", {"capability": "measure", "input": forged}),
    )
    for method, fields in calls:
        with pytest.raises(errors.InvalidRequest, match="a reference to the blob store, which only the mesh writes"):
            await raw.call(method, **fields)
    with pytest.raises(errors.InvalidRequest, match="reference to the blob store"):
        await raw.call("StartWorkflows", requests=[{"definition": "echo", "input": forged}])
    stream = StartStream(raw.nodes)
    with pytest.raises(errors.InvalidRequest, match="reference to the blob store"):
        await stream.start([pb.StartWorkflowRequest(workflow_id="w", definition="echo", input=forged)], 1_000)
    await stream.close()


async def test_an_agent_of_the_gateway_cannot_name_a_value_of_the_store(world: World) -> None:
    node, raw = await world.up(agent=False)
    await start(raw, "victim", "waits", text(SIZE, "v"))
    (path,) = world.objects("victim")
    forged = payload_out(Reference("victim", path.name, SIZE, path.name.split("-")[1]).payload())
    await start(raw, "w", "careful", "words")
    async with Stream(node.address, [("nervenet-namespace", world.namespace)]) as stream:
        await stream.say(hello=hello("measure"))
        await stream.hear("welcome")
        task = await stream.hear("task")
        answer = {"task_id": task.task_id, "result": {"attempt": task.attempt, "output": forged}}
        await stream.say(task_completion=answer)
        found = await result(raw, "w")
    assert found.startswith("InvalidResult: measure: a reference to the blob store")


async def test_a_reference_in_redis_reaches_values_of_its_own_workflow_only(world: World) -> None:
    """An agent with Redis access writes an outcome that refers to a value of another workflow."""
    node, raw = await world.up(agent=False)
    await start(raw, "victim", "waits", text(SIZE, "v"))
    (path,) = world.objects("victim")
    forged = Reference("victim", path.name, SIZE, path.name.split("-")[1])
    await start(raw, "w", "collects", 1)
    from nervenet.records import Signaled

    assert node.context.blobs is not None
    from nervenet.wire import encode_entry

    data = encode_entry(Signaled("more", forged.payload()), "thief")
    await node.context.journal.append("w", 1, "signal:forged", data)
    coordinator = await until(lambda: node.hosted.get("w"))
    coordinator.catch_up()
    told = await until(lambda: blocked(raw, "w"), "w is BLOCKED")
    assert "a workflow reads its own values only" in told


async def test_a_tenant_cannot_reach_the_values_of_another_one(world: World) -> None:
    """The same store, another namespace: the place of a value is below the namespace of the process that reads."""
    node, raw = await world.up(agent=False)
    await start(raw, "w", "waits", text(SIZE, "v"))
    (path,) = world.objects("w")
    reference = Reference("w", path.name, SIZE, path.name.split("-")[1])
    assert node.context.blobs is not None
    assert await node.context.blobs.fill(reference.payload(), "w")
    config = world.config(namespace=f"{world.namespace}-other", blobs=world.url)
    from nervenet.blobs import BlobMissing, open_blobs

    other = await open_blobs(config)
    assert other is not None
    with pytest.raises(BlobMissing, match="is not in the blob store"):
        await other.fill(reference.payload(), "w")


# ── encryption ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_store_holds_ciphertext(world: World, tmp_path: Path) -> None:
    keys = codec(key_file(tmp_path / "keys", "k1"))
    node, raw = await world.up(codec=keys)
    async with await world.client_with(node, codec=keys) as client:
        found = await client.run("there_and_back", SIZE, id="w")
        assert found == {"length": SIZE - 2, "words": text(SIZE, "g")}
        again = await client.handle("w").result()
        assert again == found
    assert len(world.objects("w")) == 3
    for path in world.objects("w"):
        data = path.read_bytes()
        assert b"aes-gcm;key=k1" in data
        assert b"ggggg" not in data
    told = (await raw.call("GetWorkflow", workflow_id="w")).workflow
    assert told.output.encoding == "aes-gcm;key=k1", "a caller without the key gets the ciphertext"
