# SPDX-License-Identifier: Apache-2.0
"""What Redis has forgotten is read from the archive: one workflow, its result, its journal, and lists."""

from __future__ import annotations

import json

import httpx
import pytest

from nervenet import errors
from nervenet.v1 import workflow_pb2
from tests.archive.world import World, run
from tests.http_door.world import watching
from tests.support.waiting import until


async def test_a_forgotten_workflow_is_shown_as_before_and_says_that_it_is_archived(world: World) -> None:
    node, raw = await world.up()
    asked = {"workflow_id": "w", "include_task_payloads": True}
    value = {"text": "line\nbreak", "number": 2**60, "name": "Zoë"}
    await run(raw, "w", value=value, labels={"team": "legal"})
    before = (await raw.call("GetWorkflow", **asked)).workflow
    journal = (await raw.call("ListJournal", workflow_id="w")).entries
    assert not before.archived
    await world.archived("w")
    await world.forgotten(node, "w")

    after = (await raw.call("GetWorkflow", **asked)).workflow
    assert after.archived
    after.archived = False
    assert after == before
    assert (await raw.call("ListJournal", workflow_id="w")).entries == journal
    first = await raw.call("ListJournal", workflow_id="w", page_size=1)
    second = await raw.call("ListJournal", workflow_id="w", page_size=1, page_token=first.next_page_token)
    assert [*first.entries, *second.entries] == list(journal)[:2]


async def test_a_line_is_what_people_query(world: World) -> None:
    _, raw = await world.up()
    await run(raw, "good", value={"pages": [1, 2]}, labels={"team": "legal"})
    await run(raw, "bad", "fails", "no luck")
    good, bad = sorted(await world.archived("good", "bad"), key=lambda line: line["workflow_id"], reverse=True)
    assert (good["schema"], good["namespace"], good["definition"]) == (1, world.namespace, "echo")
    assert (good["state"], good["input"], good["output"]) == ("SUCCEEDED", {"pages": [1, 2]}, {"pages": [1, 2]})
    assert (good["labels"], good["view"], good["failure"]) == ({"team": "legal"}, {"saw": {"pages": [1, 2]}}, None)
    assert good["start_time"] <= good["close_time"]
    assert good["close_time"].endswith("Z")
    assert [entry[1] for entry in good["journal"]] == ["start", "close"]
    assert (bad["state"], bad["output"]) == ("FAILED", None)
    assert (bad["failure"]["type"], bad["failure"]["message"]) == ("ValueError", "no luck")


async def test_who_awaits_a_forgotten_workflow_gets_its_result_and_who_awaits_none_is_told(world: World) -> None:
    node, raw = await world.up()
    await run(raw, "w", value="treasure")
    await world.archived("w")
    await world.forgotten(node, "w")
    client = await world.client(node)
    assert await client.handle("w").result() == "treasure"
    assert (await raw.call("GetWorkflow", workflow_id="w", wait={"seconds": 5})).workflow.archived
    with pytest.raises(errors.NotFound):
        await client.handle("nobody").result()
    with pytest.raises(errors.NotFound):
        await raw.call("GetWorkflow", workflow_id="nobody", wait={"seconds": 5})


async def test_who_watches_a_forgotten_workflow_gets_its_history_and_then_the_end(world: World) -> None:
    node, raw = await world.up(http="127.0.0.1:0")
    await run(raw, "w", value="treasure")
    wanted = {"workflow_id": "w", "include_progress": True, "payload_format": "PAYLOAD_FORMAT_RAW"}
    before = [answer.entry async for answer in raw.stream("WatchWorkflow", **wanted)]
    await world.forgotten(node, "w")

    after = [answer.entry async for answer in raw.stream("WatchWorkflow", **wanted)]
    assert [entry.name for entry in after] == ["start", "close"]
    assert after == before
    rest = [answer.entry async for answer in raw.stream("WatchWorkflow", after_sequence=1, **wanted)]
    assert rest == after[1:]
    assert [answer async for answer in raw.stream("WatchWorkflow", after_sequence=2, **wanted)] == []
    with pytest.raises(errors.NotFound):
        [answer async for answer in raw.stream("WatchWorkflow", workflow_id="nobody")]

    async with (
        httpx.AsyncClient(base_url=f"http://{node.http}", timeout=20, trust_env=False) as http,
        watching(http, "/live/workflows/w") as events,
    ):
        told = [(event.name, event.id, event.data.get("entry", {}).get("name")) for event in await events.rest()]
    assert told == [("", "1", "start"), ("", "2", "close"), ("end", "", None)]


async def test_pages_of_the_archive_have_each_workflow_once_the_newest_first(world: World) -> None:
    node, raw = await world.up()
    ids = [f"w-{n}" for n in range(12)]
    for each in ids:
        await run(raw, each, labels={"even": str(int(each[2:]) % 2 == 0)})
    await world.archived(*ids)
    await world.forgotten(node, *ids)
    assert (await raw.call("ListWorkflows")).workflows == []

    found, token = [], ""
    while True:
        page = await raw.call("ListWorkflows", archived=True, page_size=5, page_token=token)
        assert all(one.archived and len(page.workflows) <= 5 for one in page.workflows)
        found += page.workflows
        token = page.next_page_token
        if not token:
            break
    assert sorted(one.workflow_id for one in found) == sorted(ids)
    closed = [one.close_time.ToMilliseconds() for one in found]
    assert closed == sorted(closed, reverse=True)

    even = await raw.call("ListWorkflows", archived=True, labels={"even": "True"})
    assert {one.workflow_id for one in even.workflows} == set(ids[::2])
    part = {"closed_after": found[4].close_time, "closed_before": found[1].close_time}
    assert [one.workflow_id for one in (await raw.call("ListWorkflows", archived=True, **part)).workflows] == [
        one.workflow_id for one in found[2:5]
    ]
    assert not (await raw.call("ListWorkflows", archived=True, states=["WORKFLOW_STATE_FAILED"])).workflows


async def test_what_the_archive_cannot_answer_is_refused(world: World) -> None:
    _, raw = await world.up()
    with pytest.raises(errors.InvalidRequest, match="stuck"):
        await raw.call("ListWorkflows", archived=True, stuck=True)
    plain = await world.raw(await world.node())
    with pytest.raises(errors.PreconditionFailed, match="NERVENET_ARCHIVE") as refused:
        await plain.call("ListWorkflows", archived=True)
    assert refused.value.reason == "NO_ARCHIVE"


async def test_a_definition_has_a_retention_of_its_own(world: World) -> None:
    node, raw = await world.up()
    stored = {
        "name": "kept", "version": 1, "retention": {"seconds": 30 * 86_400},
        "steps": [{"name": "one", "value": "input"}],
    }  # fmt: skip
    await raw.call("PutDefinition", definition=stored)
    for each, definition in (("plain", "echo"), ("mine", "treasured"), ("data", "kept")):
        await run(raw, each, definition)
    await world.archived("plain", "mine", "data")
    await world.forgotten(node, "plain")
    for each in ("mine", "data"):
        left = await node.context.link.call("PTTL", node.context.keys.head(each))
        assert 25 * 86_400_000 < left < 34 * 86_400_000
        assert not (await raw.call("GetWorkflow", workflow_id=each)).workflow.archived
    listed = await raw.call("ListWorkflows")
    assert {one.workflow_id for one in listed.workflows} == {"mine", "data"}


@pytest.mark.parametrize("archive", [True, False])
async def test_a_retention_of_its_own_survives_a_redis_that_forgets_the_end(world: World, archive: bool) -> None:
    node = await world.node(retention="1h", **({"archive": world.folder.as_uri()} if archive else {}))
    raw = await world.raw(node)
    for each, definition in (("plain", "echo"), ("mine", "treasured")):
        await run(raw, each, definition)
    link, keys = node.context.link, node.context.keys
    await until(lambda: node.context.link.call("EXISTS", keys.retentions), "its books are done")
    written = [name for each in ("plain", "mine") for name in keys.written(each)]
    await link.call("DEL", *written, keys.retentions)  # what a Redis has lost that comes back after a crash

    await node.recovery.came_back()
    hold = node.context.config.hold_ms
    for each, hours in (("plain", 1), ("mine", 30 * 24)):
        for name in keys.written(each)[:2]:
            left = await link.call("PTTL", name) - hold
            assert 0.8 * hours * 3_600_000 < left < 1.2 * hours * 3_600_000, each
    head = await node.context.journal.head("mine")
    assert head is not None
    assert head.retention_ms == 30 * 86_400_000

    async def listed() -> bool:
        return await link.call("ZSCORE", keys.retentions, "treasured") is not None

    await until(listed, "lists know the longest retention again")


async def test_each_run_of_a_workflow_that_begins_again_is_archived_and_the_last_one_is_shown(world: World) -> None:
    node, raw = await world.up(retention="8s")
    for n in range(3):
        restart = {"if_exists": "IF_EXISTS_RESTART_IF_CLOSED"}
        told = await run(raw, "again", value=n, **restart)
        assert told.run == n + 1
    lines = await world.archived("again", runs=3)
    assert [(line["run"], line["output"]) for line in lines] == [(1, 0), (2, 1), (3, 2)]
    await world.forgotten(node, "again")
    shown = (await raw.call("GetWorkflow", workflow_id="again")).workflow
    assert (shown.run, json.loads(shown.output.value.number_value.__repr__())) == (3, 2.0)


async def test_a_run_that_continues_as_new_is_no_closed_run(world: World) -> None:
    _, raw = await world.up()
    await run(raw, "long", "renews", 2)
    (line,) = await world.archived("long")
    assert (line["run"], line["output"]) == (3, "done")


async def test_an_open_workflow_stays_out_and_comes_when_it_closes(world: World) -> None:
    _, raw = await world.up()
    await raw.call("StartWorkflow", workflow_id="open", definition="waits")
    await run(raw, "other")
    await world.archived("other")
    assert [line["workflow_id"] for line in world.lines()] == ["other"]
    await raw.call("CancelWorkflow", workflow_id="open")
    (line,) = await world.archived("open")
    assert line["state"] == "CANCELED"


async def test_without_an_archive_nothing_waits_for_one(world: World) -> None:
    node = await world.node(retention="1s")
    raw = await world.raw(node)
    await run(raw, "w")
    await world.forgotten(node, "w")
    assert await node.context.link.call("KEYS", f"nn:{world.namespace}:archive*") == []
    with pytest.raises(errors.NotFound):
        await raw.call("GetWorkflow", workflow_id="w")
    assert await until(lambda: not world.folder.exists() or None)


def test_the_contract_has_the_flag() -> None:
    assert workflow_pb2.Workflow(archived=True).archived
