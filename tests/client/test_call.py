# SPDX-License-Identifier: Apache-2.0
"""`client.call`: one durable task without a workflow, typed, and once for each request id."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from nervenet import Agent, AgentError, CallFailed, CallOptions, Client, Context, Escalate, Mesh, Resolution, Timeouts
from nervenet.errors import AlreadyExists, CallTimedOut
from tests.support.waiting import until

mesh = Mesh("calls")
done: list[str] = []


@dataclass
class Facts:
    name: str
    holders: list[str]


@mesh.agent
async def extract(name: str) -> Facts:
    done.append(name)
    await asyncio.sleep(0.01)
    return Facts(name, ["Ada"])


class Declined(AgentError):
    pass


@mesh.agent
async def decline(name: str) -> str:
    raise Declined(f"{name} is declined", retryable=False, details={"limit": 3})


@mesh.agent
async def doubt(name: str) -> int:
    raise Escalate("How many?", suggestion=7)


@mesh.agent
async def tick() -> bytes:
    return b"\x00tick"


nobody = Agent.remote("nobody", str, str)


@mesh.workflow
async def unused(ctx: Context) -> None: ...


async def test_the_result_has_its_type(mesh_client: Client) -> None:
    assert await mesh_client.call(extract, "httpx", request_id="r") == Facts("httpx", ["Ada"])
    assert await mesh_client.call(tick, None, request_id="t") == b"\x00tick"
    assert [w.id async for w in mesh_client.list()] == ["task/t", "task/r"]


async def test_a_request_id_is_one_task_whoever_asks_and_how_often(mesh_client: Client) -> None:
    done.clear()
    async with Client(config=mesh_client.config) as other:
        first = await asyncio.gather(
            *(client.call(extract, "numpy", request_id="mail-77") for client in (mesh_client, other, mesh_client))
        )
        again = await other.call(extract, "numpy", request_id="mail-77")
    assert first == [again] * 3 and done == ["numpy"]
    patient = CallOptions(labels={"team": "mail"}, timeouts=Timeouts(total=timedelta(hours=1)))
    assert await mesh_client.call(extract, "numpy", request_id="mail-77", options=patient) == first[0]
    assert done == ["numpy"], "how it is to be done does not make it another task"
    with pytest.raises(AlreadyExists, match="'mail-77' was used before: a task with another capability or input"):
        await mesh_client.call(extract, "pandas", request_id="mail-77")


async def test_a_failure_is_that_of_a_step(mesh_client: Client) -> None:
    with pytest.raises(CallFailed, match="decline failed: Declined: card is declined") as failed:
        await mesh_client.call(decline, "card", request_id="r")
    assert failed.value.is_a(Declined) and failed.value.step == "decline"
    soon = CallOptions(timeouts=Timeouts(total=timedelta(milliseconds=100)))
    with pytest.raises(CallTimedOut) as late:
        await mesh_client.call(nobody, "x", request_id="late", options=soon)
    assert isinstance(late.value, TimeoutError)


async def test_a_task_may_ask_a_human(mesh_client: Client) -> None:
    waiting = asyncio.create_task(mesh_client.call(doubt, "x", request_id="r"))

    async def questions() -> list[Any]:
        return [e async for e in mesh_client.escalations()]

    found = await until(questions, "it asks")
    assert (found[0].question, found[0].suggestion) == ("How many?", 7)
    await mesh_client.resolve(found[0].id, Resolution.complete(8))
    assert await waiting == 8
