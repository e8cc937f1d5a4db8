# SPDX-License-Identifier: Apache-2.0
"""What a handler may say and know while it runs."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from nervenet.agent.current_config import current_config
from nervenet.agent.task import Task
from nervenet.config import Config
from nervenet.definitions import define_agent
from nervenet.wire import decode_payload
from tests.agent.world import World
from tests.support.waiting import until


@dataclass
class Progress:
    at: int
    words: list[str]


async def test_progress_and_parts_come_in_order_to_the_live_stream(world: World) -> None:
    async def write(task: Task) -> str:
        for n in range(5):
            task.emit({"n": n})
            task.progress(n / 5, f"part {n}")
        return "done"

    async with world.agent(define_agent(write)) as agent:
        workflow_id = await world.owner.ask(agent, "write")
        assert await world.owner.value(workflow_id, "write") == "done"
        said = await world.owner.live(workflow_id)
    parts = [one for one in said if one.HasField("partial")]
    assert [(one.partial_sequence, one.partial.json) for one in parts] == [(n + 1, f'{{"n":{n}}}') for n in range(5)]
    assert [one.message for one in said if one.message] == ["part 4"], "of progress the last one wins"
    assert {(one.step, one.attempt, one.agent_id) for one in said} == {("write", 1, agent.agent_id)}


async def test_the_live_stream_is_capped_in_entries_and_bytes(world: World) -> None:
    async def flood(task: Task) -> None:
        for _ in range(60):
            task.emit("x" * 50_000)
            await asyncio.sleep(0.06 if _ % 10 == 0 else 0)

    async with world.agent(define_agent(flood)) as agent:
        workflow_id = await world.owner.ask(agent, "flood")
        await world.owner.outcome(workflow_id, "flood")
        said = await world.owner.live(workflow_id)
        assert said[-1].partial_sequence == 60
        assert await world.owner.link.call("PTTL", world.owner.keys.live(workflow_id)) > 0


async def test_a_checkpoint_is_what_the_next_attempt_goes_on_from(world: World) -> None:
    async def transcribe(task: Task) -> list[str]:
        done = task.restore(Progress) or Progress(0, [])
        if task.attempt == 1:
            task.checkpoint(Progress(2, ["a", "b"]))
            await saved.wait()
            raise RuntimeError("crash")
        return [*done.words, "c", task.hint or "", task.idempotency_key]

    saved = asyncio.Event()
    async with world.agent(define_agent(transcribe)) as agent:
        workflow_id = await world.owner.ask(agent, "transcribe")

        async def stored() -> Any:
            return await world.owner.link.call("HGET", world.owner.keys.checkpoints(workflow_id), "transcribe")

        assert decode_payload(await until(stored, "the checkpoint")).data == b'{"at":2,"words":["a","b"]}'
        saved.set()
        await world.owner.failed(workflow_id, "transcribe")
        again = world.owner.envelope(workflow_id, "transcribe", attempt=2, hint="try harder")
        await world.owner.send(agent.agent_id, again)
        value = await world.owner.value(workflow_id, "transcribe")
        assert value == ["a", "b", "c", "try harder", f"{workflow_id}/transcribe"]
        assert await stored() is None, "the outcome takes the checkpoint with it"


async def test_lifespans_are_entered_once_and_shared_and_left_after_the_drain(world: World) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def pool() -> Any:
        events.append("in")
        yield {"pool": 1}
        events.append("out")

    @contextmanager
    def files() -> Any:
        yield "files"

    async def one(task: Task[dict[str, int]]) -> int:
        return task.resource["pool"]

    def two(task: Task[dict[str, int]]) -> str:
        return f"{task.resource['pool']} {threading.current_thread() is threading.main_thread()}"

    async def three(task: Task[str]) -> str:
        return task.resource

    agents = [define_agent(one, lifespan=pool), define_agent(two, lifespan=pool), define_agent(three, lifespan=files)]
    async with world.agent(*agents) as agent:
        assert await world.owner.value(await world.owner.ask(agent, "one"), "one") == 1
        assert await world.owner.value(await world.owner.ask(agent, "two"), "two") == "1 False"
        assert await world.owner.value(await world.owner.ask(agent, "three"), "three") == "files"
        assert events == ["in"]
    assert events == ["in", "out"]


async def test_a_lifespan_has_the_settings_of_its_agent(world: World) -> None:
    seen: list[Config] = []

    @contextmanager
    def settings() -> Any:
        seen.append(current_config())
        yield None

    async def one(task: Task[None]) -> None: ...

    async with world.agent(define_agent(one, lifespan=settings), payload_limit="2MiB") as agent:
        assert seen == [agent.config] and agent.config.payload_limit == 2 << 20
    assert current_config() != agent.config


async def test_a_lifespan_that_raises_ends_the_process_with_that_error(world: World) -> None:
    @contextmanager
    def broken() -> Any:
        raise ConnectionError("no database")
        yield

    async def one(task: Task[Any]) -> None: ...

    with pytest.raises(ConnectionError, match="no database"):
        async with world.agent(define_agent(one, lifespan=broken)):
            pass
    assert not world.registry.agents


async def test_usage_is_added_up_by_model_and_recorded(world: World) -> None:
    async def think(task: Task) -> None:
        task.usage("small", input_tokens=1, output_tokens=2)
        task.usage("large", input_tokens=5, output_tokens=5)
        task.usage("small", input_tokens=10, output_tokens=20)

    async with world.agent(define_agent(think)) as agent:
        outcome = await world.owner.outcome(await world.owner.ask(agent, "think"), "think")
    assert outcome.usage == (("small", 11, 22), ("large", 5, 5))
