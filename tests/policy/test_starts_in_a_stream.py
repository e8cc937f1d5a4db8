# SPDX-License-Identifier: Apache-2.0
"""A start that comes by a stream is judged and recorded as a call of StartWorkflows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nervenet.errors import RequestError
from nervenet.rpc.status import from_outcome
from nervenet.rpc.stream_of_calls import LARGEST
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.policy.test_limits import BILLING, POLICY
from tests.policy.test_reload import IDLE, LIMITED
from tests.policy.world import GuardedMesh, audited
from tests.support.waiting import until


def message(number: int, *starts: tuple[str, str, dict[str, str]], **more: Any) -> pb.StreamStartsRequest:
    requests: list[Any] = [
        {"workflow_id": workflow_id, "definition": definition, "labels": labels, "input": {"json": "1"}} | more
        for workflow_id, definition, labels in starts
    ]
    return pb.StreamStartsRequest(number=number, requests=requests)


async def answers(stream: AsyncIterator[Any]) -> dict[int, Any]:
    """By number. Raises RequestError."""
    return {answer.number: answer async for answer in stream}


def reason_of(status: Any) -> tuple[str, str]:
    error = from_outcome(status)
    return error.code, error.reason


async def test_each_message_and_each_start_is_judged(guarded: GuardedMesh) -> None:
    await guarded.guarded(POLICY)
    said = [
        message(1, ("mine", "call", BILLING)),
        message(2, ("theirs", "call", {"team": "sales"})),
        message(3, ("mine-too", "call", BILLING), ("no", "call", {}), ("neither", "many", BILLING)),
    ]
    heard = await answers(guarded.talk("billing", "StreamStarts", said))
    assert [outcome.created for outcome in heard[1].outcomes] == [True]
    assert reason_of(heard[2].error) == ("PERMISSION_DENIED", "OUT_OF_LIMITS")
    first, *others = heard[3].outcomes
    assert first.created
    assert {reason_of(other.error) for other in others} == {
        ("PERMISSION_DENIED", "OUT_OF_LIMITS"),
        ("PERMISSION_DENIED", "DENIED_BY_RULE"),
    }


async def test_a_large_message_is_refused_alone(guarded: GuardedMesh) -> None:
    await guarded.guarded(POLICY)
    large = message(1, ("large", "call", {}), input={"json": json.dumps("x" * LARGEST)})
    heard = await answers(guarded.talk("everything", "StreamStarts", [large, message(2, ("small", "call", {}))]))
    assert reason_of(heard[1].error) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert heard[2].outcomes[0].created


@pytest.mark.parametrize("named", ["StartWorkflows", "StreamStarts", "Start*"])
async def test_a_rule_about_starts_is_one_about_starts_in_a_stream(guarded: GuardedMesh, named: str) -> None:
    rule = f'rules:\n  - {{name: closed, deny: ["{named}"], when: "true", because: the shop is closed}}'
    await guarded.guarded(POLICY.replace("rules:", rule))
    with pytest.raises(RequestError, match="the shop is closed"):
        await answers(guarded.talk("everything", "StreamStarts", [message(1, ("w", "call", {}))]))
    with pytest.raises(RequestError, match="the shop is closed"):
        await (await guarded.by("everything")).call("StartWorkflows", requests=[])


async def test_who_may_not_await_is_not_told_the_end(guarded: GuardedMesh) -> None:
    rule = 'rules:\n  - {name: blind, deny: [AwaitWorkflows], when: "true", because: it starts only}'
    await guarded.guarded(POLICY.replace("rules:", rule))
    times = {"timeout": {"nanos": 100_000_000}, "wait": {"seconds": 20}}  # nobody serves it: it ends by its timeout
    heard = await answers(guarded.talk("everything", "StreamStarts", [message(1, ("w", "call", {}), **times)]))
    (outcome,) = heard[1].outcomes
    assert outcome.created
    assert not outcome.HasField("workflow")


async def test_each_start_is_on_record(guarded: GuardedMesh) -> None:
    log = guarded.folder / "audit.jsonl"
    await guarded.guarded(POLICY, audit=log)
    said = [message(1, ("a", "call", BILLING)), message(2, ("b", "many", BILLING)), message(3, ("", "call", BILLING))]
    heard = await answers(guarded.talk("billing", "StreamStarts", said))
    assert {line["rpc"] for line in audited(log)} == {"nervenet.v1.CoordinatorService/StartWorkflows"}
    generated = heard[3].outcomes[0].workflow_id
    allowed = [line["target"]["workflow_ids"] for line in audited(log) if line["decision"] == "allowed"]
    assert sorted(allowed) == sorted([["a"], [generated]])
    (denied,) = [line["target"] for line in audited(log) if line["decision"] == "denied"]
    assert denied == {"workflow_id": "b", "workflow": "many"}


async def test_a_changed_policy_counts_for_the_next_message_and_ends_a_stream_without_a_right(
    guarded: GuardedMesh,
) -> None:
    await guarded.guarded(IDLE)
    said: asyncio.Queue[pb.StreamStartsRequest] = asyncio.Queue()
    heard: dict[int, Any] = {}

    async def messages() -> AsyncIterator[pb.StreamStartsRequest]:
        while True:
            yield await said.get()

    async def listen() -> None:
        async for answer in guarded.talk("ada", "StreamStarts", messages()):
            heard[answer.number] = answer

    listening = asyncio.create_task(listen())
    said.put_nowait(message(1, ("a", "call", {})))
    await until(lambda: 1 in heard, "it may start all")
    assert heard[1].outcomes[0].created
    guarded.write_policy(IDLE.replace('subjects: ["spiffe://test/nervenet/ada"]', LIMITED))

    async def is_refused() -> bool:
        number = max(heard) + 1
        said.put_nowait(message(number, (f"b-{number}", "call", {})))
        await until(lambda: number in heard, "it answers each")
        return bool(heard[number].HasField("error"))

    async with asyncio.timeout(20):
        while not await is_refused():
            await asyncio.sleep(0.05)
    assert reason_of(heard[max(heard)].error) == ("PERMISSION_DENIED", "OUT_OF_LIMITS")
    without = IDLE.replace(
        '  - {role: client, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/ada"]}\n', ""
    )
    guarded.write_policy(without)
    with pytest.raises(RequestError) as ended:
        await asyncio.wait_for(listening, 20)
    assert ended.value.reason == "NO_ROLE"
