# SPDX-License-Identifier: Apache-2.0
"""What a call carries: values that are out of bounds are refused with their path, and payloads arrive as they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from nervenet import errors
from nervenet.client.raw import RawClient
from nervenet.node.services.checks import check_answer
from nervenet.records import Outcome, Payload, Question
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import registry_service_pb2 as registry
from nervenet.wire import payload_for_people
from tests.node.hand import Hand
from tests.node.hand import World as Hands
from tests.services.world import World

HUGE, BEFORE = {"seconds": (1 << 63) - 1}, {"seconds": -1}
TASK = {"request_id": "t", "capability": "greet"}
AGENT = {"agent_id": "ocr-k3v9abcd", "capabilities": [{"name": "ocr"}]}
STEP = {"name": "a", "call": {"capability": "greet"}}


def definition(**changes: Any) -> dict[str, Any]:
    return {"definition": {"name": "d", "version": 1, "steps": [STEP], **changes}}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("ListAgents", {"states": [1, 99]}, "states[1]"),
    ("RunTask", {**TASK, "selection": {"policy": 99}}, "selection.policy"),
    ("RunTask", {**TASK, "timeouts": {"attempt": HUGE}}, "timeouts.attempt"),
    ("RunTask", {**TASK, "timeouts": {"queue": {"nanos": -5}}}, "timeouts.queue"),
    ("RunTask", {**TASK, "retry": {"backoff_multiplier": 0.5}}, "retry.backoff_multiplier"),
    ("RunTask", {**TASK, "retry": {"backoff_multiplier": float("inf")}}, "retry.backoff_multiplier"),
    ("RunTask", {**TASK, "retry": {"on_exhausted": 9}}, "retry.on_exhausted"),
    ("RunTask", {**TASK, "wait": BEFORE}, "wait"),
    ("RunTask", {**TASK, "input": {"json": '"\\ud800"'}}, "input.json"),
    ("StartWorkflow", {"definition": "echo", "timeout": HUGE}, "timeout"),
    ("StartWorkflow", {"definition": "echo", "timeout": BEFORE}, "timeout"),
    ("StartWorkflow", {"definition": "echo", "payload_format": 7}, "payload_format"),
    ("StartWorkflow", {"definition": "echo", "input": {"json": "[" * 5000 + "]" * 5000}}, "input"),
    ("ListWorkflows", {"started_after": HUGE}, "started_after"),
    ("RegisterAgent", {"agent": {**AGENT, "register_time": HUGE}}, "agent.register_time"),
    ("DrainAgent", {"agent_id": "ocr-k3v9abcd", "grace": BEFORE}, "grace"),
    ("SelectAgent", {"capability": "ocr", "selection": {"policy": 5}}, "selection.policy"),
    ("PutDefinition", definition(timeout=HUGE), "definition.timeout"),
    ("PutDefinition", definition(retry={"max_interval": BEFORE}), "definition.retry.max_interval"),
    ("PutDefinition", definition(steps=[{"name": "a", "sleep": HUGE}]), "definition.steps[0].sleep"),
    (
        "PutDefinition",
        definition(steps=[{**STEP, "timeouts": {"total": HUGE}}]),
        "definition.steps[0].timeouts.total",
    ),
    (
        "PutDefinition",
        definition(
            steps=[
                {
                    "name": "q",
                    "ask": {
                        "question": "'?'",
                        "answer_schema": {"$ref": "http://127.0.0.1:1/none"},
                        "deadline": {"seconds": 5},
                        "default_answer": {"string_value": "no"},
                    },
                }
            ]
        ),
        "definition.steps[0].ask.default_answer",
    ),
]


async def test_what_is_out_of_bounds_is_refused_with_its_path(raw: RawClient) -> None:
    for method, request, field in REFUSED:
        with pytest.raises(errors.InvalidRequest) as refused:
            await raw.call(method, request)
        assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), method
        assert [name for name, _ in refused.value.fields] == [field], (method, refused.value)


@pytest.fixture
async def raw(world: World) -> RawClient:
    return await world.raw(await world.node())


async def test_in_a_batch_only_the_start_that_is_wrong_is_refused(raw: RawClient) -> None:
    starts = [{"workflow_id": "a", "definition": "echo"}, {"workflow_id": "b", "definition": "echo", "timeout": HUGE}]
    good, bad = (await raw.call("StartWorkflows", requests=starts)).outcomes
    assert good.created and bad.error.message.startswith("requests[1].timeout: ")


async def test_streams_refuse_such_a_message_too(raw: RawClient) -> None:
    async def said(*messages: Any) -> Any:
        for message in messages:
            yield message

    agent = {"agent_id": "ocr-k3v9abcd", "lease_id": 7}
    for method, message, field in (
        ("AwaitWorkflows", pb.AwaitWorkflowsRequest(payload_format=9), "payload_format"),  # type: ignore[arg-type]
        ("Heartbeat", registry.HeartbeatRequest(**agent, load={"sample_time": HUGE}), "load.sample_time"),  # type: ignore[arg-type]
    ):
        with pytest.raises(errors.InvalidRequest) as refused:
            async for _ in raw.nodes.stream(method, said(message)):
                pass
        assert [name for name, _ in refused.value.fields] == [field]


async def test_a_refusal_names_what_was_sent_without_repeating_all_of_it(raw: RawClient) -> None:
    """It travels as gRPC metadata, which has its limits."""
    with pytest.raises(errors.NotFound) as unknown:
        await raw.call("GetAgent", agent_id="ü" * 300_000)
    assert unknown.value.reason == "AGENT_NOT_FOUND" and len(str(unknown.value)) < 1_000
    steps = [{"name": f"s {i}"} for i in range(900)]
    with pytest.raises(errors.InvalidRequest) as refused:
        await raw.call("PutDefinition", definition(steps=steps))
    assert 10 < len(refused.value.fields) < 900 and "more)" in str(refused.value)


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_journal_of_a_workflow_with_labels_is_read_in_every_format(raw: RawClient) -> None:
    await raw.call(
        "StartWorkflow", workflow_id="w", definition="echo", labels={"team": "legal"}, input={"json": '{"a":[1]}'}
    )
    await raw.call("GetWorkflow", workflow_id="w", wait={"seconds": 10})
    for form, wanted in (
        ("PAYLOAD_FORMAT_UNSPECIFIED", {"value": {"a": [1.0]}}),
        ("PAYLOAD_FORMAT_RAW", {"json": '{"a":[1]}'}),
        ("PAYLOAD_FORMAT_OMIT", {"sizeBytes": "9"}),
    ):
        page = await raw.call("ListJournal", workflow_id="w", payload_format=form)
        watched = [a.entry async for a in raw.stream("WatchWorkflow", workflow_id="w", payload_format=form)]
        assert watched == list(page.entries)
        start, close = page.entries
        assert start.start.labels == {"team": "legal"}
        assert MessageToDict(start.start.input) == MessageToDict(close.close.output) == wanted


@asynccontextmanager
async def answering_with_the_input(agent: Hand) -> AsyncIterator[None]:
    """An agent that gives back what it got, byte by byte, as one in any language may."""

    async def serve() -> None:
        async for task in agent.tasks(agent.inbox):
            await agent.claim(task)
            e = task.envelope
            await agent.outcome(task, Outcome(e.input, None, e.capability, e.digest, e.attempt, agent.id, 1, 2))

    serving = asyncio.create_task(serve())
    try:
        yield
    finally:
        serving.cancel()


INEXACT = '{ "price": 1.10000000000000000000000001, "far": 1e999, "id": 12345678901234567890, "n": 1.50 }'


async def test_a_task_carries_its_input_and_output_byte_by_byte(world: World, raw: RawClient) -> None:
    claim_check = {"uri": "s3://bucket/film", "size_bytes": 7_000_000_000, "sha256": bytes(32), "content_type": "video"}
    values: list[dict[str, Any]] = [
        {"json": INEXACT},
        {"json": ' "ü\\u00fc" '},
        {"data": b"\x00\xff", "content_type": "image/png", "encoding": "gzip"},
        {"text": "plain, no JSON"},
        claim_check,
        {},
    ]
    hands = Hands(world.redis_url, world.etcd_url, world.namespace)
    async with hands.agent("greet", slots=4) as agent, answering_with_the_input(agent):
        for i, value in enumerate(values):
            request = {"request_id": f"t{i}", "capability": "greet", "input": value, "wait": {"seconds": 10}}
            answer = await raw.call("RunTask", request, payload_format="PAYLOAD_FORMAT_RAW")
            assert answer.workflow.output == common.Payload(**value), answer


def test_values_for_people_lose_nothing() -> None:
    pleasant = ["null", "1", "-1.5", "1e300", '"ü"', "[]", "{}", '{"a":[true,{"b":"c"}]}', "9007199254740992", "1.10"]
    kept = [
        *("9007199254740993", "1e999", "1.10000000000000000000001", "12345678901234567890.0", "NaN", "{", '"\\ud800"'),
        *('{"a":1,"a":2}', "[" * 40 + "]" * 40, "1" * 5000, "[" * 10_000),
    ]
    for text in pleasant:
        assert payload_for_people(Payload("json", text.encode())).WhichOneof("body") == "value", text
    for text in kept:
        assert payload_for_people(Payload("json", text.encode())) == common.Payload(json=text), text[:40]


# ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("schema", ["{", "7", '{"type": 7}', '{"$ref": "#/nowhere"}', '{"pattern": "("}', "[" * 5000])
def test_where_the_schema_of_an_answer_is_none_any_json_will_do(schema: str) -> None:
    """An agent that writes to Redis itself may ask so."""
    check_answer(Payload("json", b'"yes"'), Question("?", "agent", schema=schema.encode()), "ask")
