# SPDX-License-Identifier: Apache-2.0
"""`run_agent` and `AgentTest`: a handler alone, with a Task that the test scripts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from nervenet import Agent, AgentError, CallFailed, Escalate, Mesh, Task
from nervenet.payloads import InvalidPayload
from nervenet.testing import AgentTest, run_agent

mesh = Mesh("alone")


@dataclass
class Page:
    number: int
    lines: int


class Torn(AgentError):
    pass


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.agent
async def tick() -> int:
    return 1


@mesh.agent
async def read(task: Task, page: Page) -> list[str]:
    done = task.restore(list[str]) or []
    for n in range(len(done), page.lines):
        done.append(f"line {n + 1} of {page.number}")
        task.checkpoint(done)
        task.progress((n + 1) / page.lines, f"line {n + 1}")
        task.emit({"line": n + 1})
        await asyncio.sleep(0.001)
    task.usage("tiny", input_tokens=2, output_tokens=3)
    task.usage("tiny", input_tokens=1, output_tokens=1)
    return done


@mesh.agent
def in_a_thread(task: Task, page: Page) -> str:
    if page.number == 0:
        raise Torn("no page 0", retryable=False)
    for _ in range(page.lines):
        task.check()
        time.sleep(0.005)
    return f"{threading.current_thread() is threading.main_thread()} {task.attempt} {task.hint} {task.labels['team']}"


@mesh.agent
async def lies(name: str) -> int:
    return name  # type: ignore[return-value]


@mesh.agent
async def doubts(suggestion: object) -> int:
    raise Escalate("Is it?", suggestion=suggestion)


opened: list[str] = []


@contextmanager
def shelf() -> Iterator[str]:
    opened.append("opened")
    yield "real"
    opened.append("closed")


@mesh.agent(lifespan=shelf)
async def borrow(task: Task[str]) -> str:
    return task.resource


async def test_a_handler_answers_as_a_function_would() -> None:
    assert await run_agent(greet, "Ada") == "Hello, Ada"
    assert await run_agent(tick) == 1


async def test_what_it_said_is_there_to_look_at() -> None:
    run = await AgentTest(attempt=2, checkpoint=["line 1 of 7"]).run(read, Page(7, 3))
    assert run.result == ["line 1 of 7", "line 2 of 7", "line 3 of 7"]
    assert run.checkpoints[0] == ["line 1 of 7", "line 2 of 7"]  # as it was when it was said
    assert run.parts == [{"line": 2}, {"line": 3}]
    assert run.progress[-1] == (1.0, "line 3")
    assert run.usage.total == 7 and run.usage.by_model["tiny"].output_tokens == 4


async def test_a_plain_function_runs_in_a_thread_with_the_same_task() -> None:
    run = await AgentTest(attempt=3, hint="look again", labels={"team": "legal"}).run(in_a_thread, Page(1, 1))
    assert run.result == "False 3 look again legal"


async def test_it_raises_what_the_handler_raised() -> None:
    with pytest.raises(Torn, match="no page 0"):
        await run_agent(in_a_thread, Page(0, 1))
    with pytest.raises(Escalate) as asked:
        await run_agent(doubts, 7)
    assert asked.value.suggestion == 7


async def test_what_does_not_fit_is_told_as_a_workflow_would_hear_it() -> None:
    with pytest.raises(CallFailed, match="InvalidResult"):
        await run_agent(lies, "Ada")
    with pytest.raises(CallFailed, match=r"in Escalate: Is it\?"):
        await run_agent(doubts, "no number")
    with pytest.raises(InvalidPayload):
        await run_agent(greet, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes one value, got 2"):
        await run_agent(greet, "a", "b")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="with a handler in this process"):
        await run_agent(Agent.remote("far", str, str), "Ada")


@pytest.mark.parametrize("agent", [read, in_a_thread], ids=["coroutine", "thread"])
async def test_a_cancel_ends_it_and_leaves_its_checkpoints(agent: Agent[Page, object]) -> None:
    run = await AgentTest(cancel_after=timedelta(milliseconds=20)).run(agent, Page(1, 10_000))
    assert isinstance(run.error, asyncio.CancelledError)
    with pytest.raises(asyncio.CancelledError):
        _ = run.result
    assert agent is not read or 0 < len(run.checkpoints) < 10_000


async def test_the_lifespan_is_entered_unless_a_resource_stands_for_it() -> None:
    assert (await AgentTest(resource="fake").run(borrow)).result == "fake"
    assert opened == []
    assert await run_agent(borrow) == "real"
    assert opened == ["opened", "closed"]
