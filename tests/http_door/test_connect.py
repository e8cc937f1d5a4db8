# SPDX-License-Identifier: Apache-2.0
"""The contract over the Connect protocol: the answers are those of gRPC, in the forms of HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2

from nervenet.rpc.methods import METHODS
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.http_door.world import (
    AGENTS,
    COORDINATOR,
    PROTO,
    REGISTRY,
    HttpWorld,
    call,
    envelope,
    envelopes,
    reason_of,
    told,
)
from tests.support.waiting import until

CONNECT_JSON, CONNECT_PROTO = "application/connect+json", "application/connect+proto"


async def test_a_workflow_is_started_and_read_as_json(world: HttpWorld) -> None:
    http = await world.http()
    start = {"workflowId": "w", "definition": "echo", "input": {"value": {"a": [1, None, "ü"]}}, "wait": "10s"}
    answer = await call(http, f"{COORDINATOR}/StartWorkflow", start, connect_protocol_version="1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["workflow"]["output"] == {"value": {"a": [1, None, "ü"]}}
    again = await call(http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "w"})
    assert again.json()["workflow"]["state"] == "WORKFLOW_STATE_SUCCEEDED"
    names_of_proto = await call(http, f"{COORDINATOR}/GetWorkflow", {"workflow_id": "w"})
    assert names_of_proto.json() == again.json()


async def test_the_answer_is_that_of_grpc(world: HttpWorld) -> None:
    http = await world.http()
    raw = await world.raw(world.nodes[0])
    await raw.call("StartWorkflow", workflow_id="w", definition="waits")
    for name, request in (
        ("GetWorkflow", {"workflow_id": "w"}),
        ("ListNodes", {}),
        ("ListDefinitions", {}),
        ("ListJournal", {"workflow_id": "w"}),
    ):
        method = METHODS[name]
        over_grpc = await raw.call(name, request)
        as_json = await call(http, method.path, request)
        body = method.request(**request).SerializeToString()
        as_proto = await http.post(method.path, content=body, headers={"content-type": PROTO})
        assert as_proto.headers["content-type"] == PROTO
        for found in (as_json.json(), MessageToDict(method.answer.FromString(as_proto.content))):
            assert found == MessageToDict(over_grpc), name


async def test_each_service_of_the_contract_is_there_and_no_other_one(world: HttpWorld) -> None:
    http = await world.http()
    assert (await call(http, f"{REGISTRY}/ListNodes")).json()["nodes"][0]["nodeId"] == world.nodes[0].node_id
    assert told(await call(http, f"{AGENTS}/DescribeAgent", {"agentId": "a-aaaaaaaa"})) == (
        404,
        "not_found",
        "AGENT_NOT_FOUND",
    )
    for hidden in (
        "/grpc.health.v1.Health/Check",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        f"{COORDINATOR}/Nothing",
        "/nervenet.v2.CoordinatorService/GetWorkflow",
    ):
        assert told(await call(http, hidden)) == (404, "unimplemented", ""), hidden


@pytest.mark.parametrize("name", ["StreamStarts", "AwaitWorkflows", "Heartbeat", "Connect"])
async def test_a_stream_of_requests_is_refused_with_the_way_to_it(world: HttpWorld, name: str) -> None:
    http = await world.http()
    answer = await call(http, METHODS[name].path)
    assert told(answer) == (505, "unimplemented", "")
    assert "gRPC" in answer.json()["message"]


async def test_an_error_has_its_details_for_clients_with_and_without_protobuf(world: HttpWorld) -> None:
    http = await world.http()
    answer = await call(http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "nobody"})
    assert told(answer) == (404, "not_found", "WORKFLOW_NOT_FOUND")
    (info,) = answer.json()["details"]
    assert info["type"] == "google.rpc.ErrorInfo"
    decoded = error_details_pb2.ErrorInfo.FromString(b64decode(info["value"] + "=="))
    assert (decoded.reason, dict(decoded.metadata)) == ("WORKFLOW_NOT_FOUND", {"workflow_id": "nobody"})
    assert info["debug"] == {
        "reason": "WORKFLOW_NOT_FOUND",
        "domain": "nervenet",
        "metadata": {"workflow_id": "nobody"},
    }

    wrong = await call(http, f"{COORDINATOR}/StartWorkflow", {"definition": "echo", "timeout": "-1s"})
    assert told(wrong) == (400, "invalid_argument", "INVALID_FIELD")
    fields = wrong.json()["details"][1]
    assert fields["type"] == "google.rpc.BadRequest"
    assert fields["debug"]["fieldViolations"][0]["field"] == "timeout"


async def test_a_call_ends_with_its_timeout(world: HttpWorld) -> None:
    http = await world.http()
    await call(http, f"{COORDINATOR}/StartWorkflow", {"workflowId": "w", "definition": "waits"})
    # A wait is shorter than the deadline of its call, so that the answer comes in time.
    began = time.monotonic()
    answer = await call(
        http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "w", "wait": "30s"}, connect_timeout_ms="1500"
    )
    assert answer.json()["workflow"]["state"] == "WORKFLOW_STATE_RUNNING"
    assert time.monotonic() - began < 10
    late = await call(http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "w"}, connect_timeout_ms="0")
    assert told(late) == (504, "deadline_exceeded", "")


async def watch(
    http: httpx.AsyncClient, body: bytes, content_type: str = CONNECT_JSON, **headers: str
) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await http.post(
        f"{COORDINATOR}/WatchWorkflow", content=body, headers={"content-type": content_type, **named}
    )


async def test_a_stream_carries_envelopes_to_its_end(world: HttpWorld) -> None:
    http = await world.http()
    await call(
        http,
        f"{COORDINATOR}/StartWorkflow",
        {"workflowId": "w", "definition": "echo", "input": {"value": 1}, "wait": "10s"},
    )
    *found, last = envelopes((await watch(http, envelope(b'{"workflowId": "w"}'))).content)
    assert [json.loads(data)["entry"]["name"] for flags, data in found if flags == 0] == ["start", "close"]
    assert last == (2, b"{}")

    request = pb.WatchWorkflowRequest(workflow_id="w", after_sequence=1).SerializeToString()
    answer = await watch(http, envelope(request), CONNECT_PROTO)
    assert answer.headers["content-type"] == CONNECT_PROTO
    (_, data), last = envelopes(answer.content)
    assert pb.WatchWorkflowResponse.FromString(data).entry.name == "close"
    assert last == (2, b"{}")


@pytest.mark.parametrize(
    ("body", "headers", "code", "reason"),
    [
        (envelope(b'{"workflowId": "nobody"}'), {}, "not_found", "WORKFLOW_NOT_FOUND"),
        (envelope(b'{"workflow": "w"}'), {}, "invalid_argument", "UNDECODABLE"),
        (b"", {}, "invalid_argument", "UNDECODABLE"),
        (b"\0\0\0\0\x63{}", {}, "invalid_argument", "UNDECODABLE"),
        (envelope(b"{}") * 2, {}, "invalid_argument", "UNDECODABLE"),
        (envelope(b"{}", flags=1), {}, "invalid_argument", "UNDECODABLE"),
        (envelope(b'{"workflowId": "waits"}'), {"connect_timeout_ms": "500"}, "deadline_exceeded", ""),
    ],
)  # fmt: skip
async def test_a_stream_tells_in_its_last_envelope_why_it_ended(
    world: HttpWorld, body: bytes, headers: dict[str, str], code: str, reason: str
) -> None:
    http = await world.http()
    await call(http, f"{COORDINATOR}/StartWorkflow", {"workflowId": "waits", "definition": "waits"})
    answer = await watch(http, body, **headers)
    flags, data = envelopes(answer.content)[-1]
    error: Any = json.loads(data)["error"]
    assert (answer.status_code, flags, error["code"], reason_of(error)) == (200, 2, code, reason)


async def test_what_a_caller_waits_for_is_given_up_when_it_leaves(world: HttpWorld) -> None:
    http = await world.http()
    await call(http, f"{COORDINATOR}/StartWorkflow", {"workflowId": "w", "definition": "waits"})
    calls = world.nodes[0].context.metrics.calls

    def canceled(name: str) -> int:
        points = [(labels, sum(times.counts)) for labels, times in calls.points() if labels[0] == "connect_rpc"]
        return sum(count for labels, count in points if labels[1].endswith(name) and labels[2] == "CANCELLED")

    waiting = asyncio.create_task(call(http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "w", "wait": "60s"}))
    streaming = asyncio.create_task(watch(http, envelope(b'{"workflowId": "w"}')))
    await asyncio.sleep(0.5)
    waiting.cancel()
    streaming.cancel()
    await until(lambda: canceled("GetWorkflow") == 1, "the wait is cancelled")
    await until(lambda: canceled("WatchWorkflow") == 1, "the stream is cancelled")
    assert (await call(http, f"{COORDINATOR}/GetWorkflow", {"workflowId": "w"})).status_code == 200


async def test_large_messages_go_both_ways(world: HttpWorld) -> None:
    http = await world.http()
    value = ["x" * 1000] * 900
    start = {"workflowId": "w", "definition": "echo", "input": {"value": value}, "wait": "20s"}
    answer = await call(http, f"{COORDINATOR}/StartWorkflow", start)
    output = answer.json()["workflow"]["output"]
    assert json.loads(output["json"]) == value
