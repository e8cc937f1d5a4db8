# SPDX-License-Identifier: Apache-2.0
"""A call that is made once more is answered like the first time, also when the workflow has closed since."""

from __future__ import annotations

from typing import Any

import pytest

from nervenet import errors
from nervenet.client.raw import RawClient
from tests.services.world import World
from tests.support.waiting import until

YES = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}, "comment": "fine", "resolver": "ana"}


async def closed(raw: RawClient, workflow_id: str) -> Any:
    return (await raw.call("GetWorkflow", workflow_id=workflow_id, wait={"seconds": 10})).workflow


async def asked(raw: RawClient, workflow_id: str) -> str:
    await raw.call("StartWorkflow", workflow_id=workflow_id, definition="asks", input={"json": '"Go?"'})

    async def open_escalations() -> Any:
        return (await raw.call("GetWorkflow", workflow_id=workflow_id)).workflow.open_escalations

    (name,) = await until(open_escalations)
    return str(name)


async def test_a_cancel_once_more(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("StartWorkflow", workflow_id="w", definition="waits")
    assert (await raw.call("CancelWorkflow", workflow_id="w", reason="enough")).created
    assert (await closed(raw, "w")).state == 7
    again = await raw.call("CancelWorkflow", workflow_id="w", reason="enough")
    assert (again.created, again.state) == (False, 7)
    await raw.call("StartWorkflow", workflow_id="done", definition="echo")
    await closed(raw, "done")
    with pytest.raises(errors.AlreadyClosed) as refused:  # nobody had asked it to stop
        await raw.call("CancelWorkflow", workflow_id="done")
    assert refused.value.reason == "WORKFLOW_CLOSED"


async def test_a_signal_once_more(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("StartWorkflow", workflow_id="w", definition="waits")
    signal = {"workflow_id": "w", "signal": "approve", "payload": {"json": '"ok"'}, "request_id": "s"}
    first = await raw.call("SignalWorkflow", signal)
    await closed(raw, "w")
    again = await raw.call("SignalWorkflow", signal)
    assert (first.created, again.created) == (True, False) and first.sequence == again.sequence
    with pytest.raises(errors.AlreadyExists) as reused:
        await raw.call("SignalWorkflow", {**signal, "payload": {"json": '"no"'}})
    assert reused.value.reason == "REQUEST_ID_REUSED" and "Choose another request_id" in str(reused.value)
    with pytest.raises(errors.AlreadyClosed):
        await raw.call("SignalWorkflow", {**signal, "request_id": "late"})


async def test_a_decision_once_more_and_another_one(world: World) -> None:
    raw = await world.raw(await world.node())
    name = await asked(raw, "a")
    first = await raw.call("ResolveEscalation", escalation_id=name, resolution=YES)
    await closed(raw, "a")
    assert await raw.call("ResolveEscalation", escalation_id=name, resolution=YES) == first
    for other in ({"value": {"json": '"no"'}}, {"resolver": "ben"}, {"action": "ESCALATION_ACTION_FAIL"}):
        with pytest.raises(errors.AlreadyClosed) as refused:
            await raw.call("ResolveEscalation", escalation_id=name, resolution={**YES, **other})
        assert refused.value.metadata["resolver"] == "ana"


async def test_a_start_and_a_task_once_more(world: World) -> None:
    raw = await world.raw(await world.node())
    start = {"workflow_id": "w", "definition": "echo", "input": {"json": "1"}}
    task = {"request_id": "t", "capability": "greet", "input": {"json": '"Ada"'}}
    await raw.call("StartWorkflow", start)
    await raw.call("RunTask", task)
    await raw.call("CancelWorkflow", workflow_id="task/t")
    await closed(raw, "w")
    assert (await closed(raw, "task/t")).state == 7
    assert not (await raw.call("StartWorkflow", start)).created
    assert (await raw.call("RunTask", task)).workflow.state == 7
    refusals = []
    for method, request in (("StartWorkflow", start), ("RunTask", task)):
        with pytest.raises(errors.AlreadyExists) as refused:
            await raw.call(method, {**request, "input": {"json": '"other"'}})
        refusals.append((refused.value.code, refused.value.reason, refused.value.metadata["state"]))
    assert refusals == [
        ("ALREADY_EXISTS", "WORKFLOW_EXISTS", "SUCCEEDED"),
        ("ALREADY_EXISTS", "REQUEST_ID_REUSED", "CANCELED"),
    ]
