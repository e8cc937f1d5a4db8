# SPDX-License-Identifier: Apache-2.0
"""Live views: a journal as events that goes on where a reader stopped, and answers that come again when they change."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.http_door.world import COORDINATOR, REGISTRY, HttpWorld, call, live, tasks_of_streams, told, watching
from tests.support.waiting import until

LIST, START, SIGNAL = (f"{COORDINATOR}/{name}" for name in ("ListWorkflows", "StartWorkflow", "SignalWorkflow"))


async def waiting(http: Any, workflow_id: str = "w") -> None:
    assert (await call(http, START, {"workflowId": workflow_id, "definition": "waits"})).status_code == 200


async def approve(http: Any, workflow_id: str = "w") -> None:
    signal = {"workflowId": workflow_id, "signal": "approve", "payload": {"value": "yes"}, "requestId": "1"}
    assert (await call(http, SIGNAL, signal)).status_code == 200


async def test_a_journal_is_followed_to_its_end_and_goes_on_after_the_last_event(world: HttpWorld) -> None:
    http = await world.http()
    await waiting(http)
    async with watching(http, "/live/workflows/w") as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        first = await events.next()
        assert first is not None
        assert (first.id, first.data["entry"]["name"]) == ("1", "start")
        last = first
        await approve(http)
        while last.data.get("entry", {}).get("name") != "close":
            following = await events.next()
            assert following is not None
            assert int(following.id) == int(last.id) + 1
            last = following
        assert [(event.name, event.data) for event in await events.rest()] == [("end", {})]

    position = int(last.id) - 2
    async with watching(http, "/live/workflows/w?after=0", last_event_id=str(position)) as events:
        assert [event.id for event in await events.rest()] == [str(position + 1), str(position + 2), ""]
    async with watching(http, f"/live/workflows/w?after={last.id}") as events:
        assert [event.name for event in await events.rest()] == ["end"]


async def test_head_of_a_stream_has_no_stream(world: HttpWorld) -> None:
    http = await world.http()
    await waiting(http)
    tasks = tasks_of_streams()
    answer = await http.head("/live/workflows/w")
    assert (answer.status_code, answer.content) == (200, b"")
    await until(lambda: tasks_of_streams() == tasks, "nothing follows the workflow")


async def test_ids_with_slashes_are_workflows_too(world: HttpWorld) -> None:
    http = await world.http()
    await call(http, START, {"workflowId": "orders/1", "definition": "echo", "input": {"value": 1}, "wait": "10s"})
    async with watching(http, "/live/workflows/orders%2F1") as events:
        assert [event.name for event in await events.rest()][-1] == "end"


@pytest.mark.parametrize(
    ("path", "headers", "answer"),
    [
        ("/live/workflows/nobody", {}, (404, "not_found", "WORKFLOW_NOT_FOUND")),
        ("/live/workflows/nobody?after=x", {}, (400, "invalid_argument", "INVALID_FIELD")),
        ("/live/workflows/nobody?after=-1", {}, (400, "invalid_argument", "INVALID_FIELD")),
        ("/live/workflows/nobody", {"last-event-id": "9" * 30}, (400, "invalid_argument", "INVALID_FIELD")),
        ("/live/workflows/nobody?format=x", {}, (400, "invalid_argument", "INVALID_FIELD")),
    ],
)
async def test_a_refusal_has_its_status(world: HttpWorld, path: str, headers: Any, answer: Any) -> None:
    http = await world.http()
    assert told(await http.get(path, headers=headers)) == answer


async def test_answers_come_again_when_they_change(world: HttpWorld) -> None:
    http = await world.http()
    reads = {
        "open": {"method": LIST[1:], "request": {"states": ["WORKFLOW_STATE_RUNNING"]}},
        "one": {"method": f"{COORDINATOR[1:]}/GetWorkflow", "request": {"workflowId": "w"}},
        "nodes": {"method": f"{REGISTRY[1:]}/ListNodes", "every": 60},
    }
    async with live(http, reads) as events:
        seen: dict[str, Any] = {}
        while len(seen) < 3:
            event = await events.next()
            assert event is not None
            seen[event.name] = event.data
        assert seen["open"] == {}
        assert seen["one"]["error"]["code"] == "not_found"
        assert seen["nodes"]["nodes"][0]["nodeId"] == world.nodes[0].node_id
        await waiting(http)
        while "workflow" not in seen["one"] or not seen["open"]:
            event = await events.next()
            assert event is not None
            seen[event.name] = event.data
        assert seen["open"]["workflows"][0]["workflowId"] == "w"


async def test_many_streams_of_the_same_reads_make_each_call_once(world: HttpWorld) -> None:
    http = await world.http()
    calls = world.nodes[0].context.metrics.calls

    def made() -> int:
        return sum(sum(times.counts) for labels, times in calls.points() if labels[1].endswith("/ListDefinitions"))

    reads = {"definitions": {"method": f"{COORDINATOR[1:]}/ListDefinitions"}}
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(live(http, reads)) for _ in range(20)]
        first = await asyncio.gather(*(tab.next() for tab in tabs))
        assert all(event is not None and event.name == "definitions" for event in first)
        before = made()
        await asyncio.sleep(2.5)
        assert before <= 3
        assert 1 <= made() - before <= 3
    await until(
        lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("live ")], "the reads end"
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "request"),
        ({"reads": {}}, "reads"),
        ({"reads": {"a": 1}}, "reads.a"),
        ({"reads": {"a": {"method": LIST[1:], "more": 1}}}, "reads.a"),
        ({"reads": {"a b": {"method": LIST[1:]}}}, "reads.a b"),
        ({"reads": {"a": {"method": START[1:]}}}, "reads.a.method"),
        ({"reads": {"a": {"method": f"{COORDINATOR[1:]}/WatchWorkflow"}}}, "reads.a.method"),
        ({"reads": {"a": {"method": LIST[1:], "request": []}}}, "reads.a"),
        ({"reads": {f"r{n}": {"method": LIST[1:]} for n in range(21)}}, "reads"),
        ({"every": "2", "reads": {"a": {"method": LIST[1:]}}}, "every"),
        ({"reads": {"a": {"method": LIST[1:], "every": "x"}}}, "reads.a.every"),
        ({"every": [], "reads": {"a": {"method": LIST[1:]}}}, "every"),
        ({"every": True, "reads": {"a": {"method": LIST[1:]}}}, "every"),
        ({"reads": {"a": {"method": LIST[1:]}}, "x": 1}, "request"),
    ],
)
async def test_a_wrong_request_is_told_which_part_is_wrong(world: HttpWorld, body: Any, field: str) -> None:
    http = await world.http()
    answer = await http.post("/live", json=body)
    assert told(answer) == (400, "invalid_argument", "INVALID_FIELD")
    assert answer.json()["message"].startswith(f"{field}:")


async def test_unknown_methods_and_fields_are_refused_at_once(world: HttpWorld) -> None:
    http = await world.http()
    unknown = await http.post("/live", json={"reads": {"a": {"method": "nervenet.v1.CoordinatorService/ListNothing"}}})
    assert told(unknown) == (404, "unimplemented", "")
    hidden = await http.post("/live", json={"reads": {"a": {"method": "grpc.health.v1.Health/List"}}})
    assert told(hidden) == (404, "unimplemented", "")
    field = await http.post("/live", json={"reads": {"a": {"method": LIST[1:], "request": {"nothing": 1}}}})
    assert told(field) == (400, "invalid_argument", "UNDECODABLE")
    plain = await http.post("/live", content=b"{}", headers={"content-type": "text/plain"})
    assert told(plain)[0] == 415
