# SPDX-License-Identifier: Apache-2.0
"""Starts as they come in over the contract: what is taken, what is refused, and that each refusal names its field."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from nervenet import errors
from tests.services.world import World


async def test_a_start_that_waits_answers_with_the_result_as_plain_json(world: World) -> None:
    raw = await world.raw(await world.node())
    value = ParseDict({"n": 7, "list": []}, Value())
    answer = await raw.call(
        "StartWorkflow", workflow_id="e-1", definition="echo", input={"value": value}, wait={"seconds": 10}
    )
    assert answer.created and answer.workflow.state == 5
    assert answer.workflow.output.value.struct_value["n"] == 7
    stored = await raw.call("GetWorkflow", workflow_id="e-1", payload_format="PAYLOAD_FORMAT_RAW")
    assert stored.workflow.input.json.replace(" ", "") in ('{"n":7,"list":[]}', '{"list":[],"n":7}')


async def test_the_same_start_again_is_the_same_workflow_and_another_input_is_refused(world: World) -> None:
    raw = await world.raw(await world.node())
    first = {"workflow_id": "w", "definition": "waits"}
    assert (await raw.call("StartWorkflow", first)).created
    assert not (await raw.call("StartWorkflow", first)).created
    with pytest.raises(errors.AlreadyExists) as refused:
        await raw.call("StartWorkflow", first, input={"json": '"else"'})
    assert refused.value.reason == "WORKFLOW_EXISTS" and refused.value.metadata["state"] == "RUNNING"
    with pytest.raises(errors.AlreadyExists):
        await raw.call("StartWorkflow", first, if_exists="IF_EXISTS_ERROR")


async def test_equal_json_in_another_spelling_is_the_same_input(world: World) -> None:
    raw = await world.raw(await world.node())
    start = {"workflow_id": "w", "definition": "echo"}
    assert (await raw.call("StartWorkflow", start, input={"json": '{"a": 1, "b": [2]}'})).created
    assert not (await raw.call("StartWorkflow", start, input={"json": '{"b":[2],"a":1}'})).created


@pytest.mark.parametrize(
    ("fields", "error", "reason", "field"),
    [
        ({"definition": "nobody_has_it"}, errors.NotFound, "DEFINITION_NOT_FOUND", None),
        ({"definition": ""}, errors.InvalidRequest, "INVALID_FIELD", "definition"),
        ({"workflow_id": "no spaces"}, errors.InvalidRequest, "INVALID_FIELD", "workflow_id"),
        ({"workflow_id": "a{b}"}, errors.InvalidRequest, "INVALID_FIELD", "workflow_id"),
        ({"input": {"json": "{not json"}}, errors.InvalidRequest, "INVALID_FIELD", "input"),
        ({"input": {"value": {"number_value": float("nan")}}}, errors.InvalidRequest, "INVALID_FIELD", "input.value"),
        ({"input": {"json": '"' + "x" * (1 << 20) + '"'}}, errors.Overloaded, "PAYLOAD_TOO_LARGE", None),
        ({"version": -1}, errors.InvalidRequest, "INVALID_FIELD", "version"),
        ({"timeout": {"seconds": -1}}, errors.InvalidRequest, "INVALID_FIELD", "timeout"),
        ({"labels": {"k": "v" * 5000}}, errors.InvalidRequest, "INVALID_FIELD", "labels"),
        ({"durability": "DURABILITY_STRICT"}, errors.PreconditionFailed, "DURABILITY_UNAVAILABLE", None),
    ],
)
async def test_every_refusal_has_its_reason_and_names_the_field(
    world: World, fields: dict[str, object], error: type[errors.RequestError], reason: str, field: str | None
) -> None:
    raw = await world.raw(await world.node())
    with pytest.raises(error) as refused:
        await raw.call("StartWorkflow", {"workflow_id": "w", "definition": "echo", **fields})
    assert refused.value.reason == reason
    if field is not None:
        assert [name for name, _ in refused.value.fields] == [field]


async def test_in_a_batch_each_start_has_its_own_outcome(world: World) -> None:
    raw = await world.raw(await world.node())
    starts = [
        {"workflow_id": "good", "definition": "echo"},
        {"workflow_id": "bad id", "definition": "echo"},
        {"workflow_id": "unknown", "definition": "nobody_has_it"},
        {"workflow_id": "no-json", "definition": "echo", "input": {"json": "{"}},
        {"workflow_id": "good", "definition": "echo"},
    ]
    answer = await raw.call("StartWorkflows", requests=starts)
    reasons = [outcome.error.reason for outcome in answer.outcomes]
    assert reasons == ["", "INVALID_FIELD", "DEFINITION_NOT_FOUND", "INVALID_FIELD", ""]
    assert [outcome.created for outcome in answer.outcomes][0::4] == [True, False]
    assert answer.outcomes[1].error.message.startswith("requests[1].workflow_id: ")


async def test_a_task_alone_is_a_workflow_named_by_its_request(world: World) -> None:
    raw = await world.raw(await world.node())
    task = {"request_id": "mail-77", "capability": "greet", "input": {"json": '"Ada"'}}
    options = {"retry": {"max_attempts": 2}, "selection": {"policy": "SELECTION_POLICY_QUEUE"}}
    answer = await raw.call("RunTask", task, **options)
    assert (answer.workflow.workflow_id, answer.workflow.definition) == ("task/mail-77", "nervenet.task")
    assert [step.waits_for for step in answer.workflow.tasks] == ["no live agent serves it"]
    assert (await raw.call("RunTask", task, **options)).workflow.workflow_id == "task/mail-77"
    with pytest.raises(errors.AlreadyExists) as refused:
        await raw.call("RunTask", {**task, "input": {"json": '"Bob"'}}, **options)
    assert refused.value.reason == "REQUEST_ID_REUSED" and refused.value.metadata["workflow_id"] == "task/mail-77"
    with pytest.raises(errors.InvalidRequest):
        await raw.call("RunTask", {**task, "request_id": "x", "retry": {"backoff_multiplier": 0.5}})


# ── the end of a workflow in the answer to its start ─────────────────────────────────────────────────────────────────


async def test_a_batch_of_one_may_wait_and_is_told_what_a_stream_of_results_tells(world: World) -> None:
    raw = await world.raw(await world.node())
    wait = {"wait": {"seconds": 10}, "payload_format": "PAYLOAD_FORMAT_RAW"}
    good = {"workflow_id": "good", "definition": "echo", "input": {"json": "[1, 2]"}, **wait}
    bad = {"workflow_id": "bad", "definition": "fails", "input": {"json": '"oh no"'}, **wait}
    for start in (good, good, bad):  # the second time it has closed already
        (outcome,) = (await raw.call("StartWorkflows", requests=[start])).outcomes
        found = outcome.workflow
        assert {field.name for field, _ in found.ListFields()} <= {"workflow_id", "run", "state", "output", "failure"}
        assert (found.workflow_id, found.run) == (start["workflow_id"], 1)
    assert outcome.workflow.failure.message == "oh no"
    (outcome,) = (await raw.call("StartWorkflows", requests=[good])).outcomes
    assert not outcome.created and outcome.workflow.output.json == "[1,2]"


async def test_a_batch_answers_without_an_end_that_does_not_come_in_time(world: World) -> None:
    raw = await world.raw(await world.node())
    waits = {"workflow_id": "w", "definition": "waits", "wait": {"nanos": 50_000_000}}
    (outcome,) = (await raw.call("StartWorkflows", requests=[waits])).outcomes
    assert outcome.created and not outcome.HasField("workflow")
    echo = {"definition": "echo", "input": {"json": "1"}, "wait": {"seconds": 30}}
    several = [{"workflow_id": f"e-{i}", **echo} for i in range(2)]
    answer = await raw.call("StartWorkflows", requests=several)
    assert not any(outcome.HasField("workflow") for outcome in answer.outcomes), "several are awaited by a stream"
