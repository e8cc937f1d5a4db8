# SPDX-License-Identifier: Apache-2.0
"""Every line must hold under mypy --strict and pyright strict."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypedDict, assert_type

from pydantic import BaseModel

from nervenet import (
    Agent,
    Answer,
    CallFailed,
    CallOptions,
    Child,
    Client,
    Context,
    Mesh,
    Signal,
    SyncClient,
    Task,
    Workflow,
    WorkflowHandle,
)
from nervenet.testing import AgentTest, WorkflowTest, run_agent

mesh = Mesh("types")
FAST = CallOptions()


class In(BaseModel):
    x: int


class TD(TypedDict):
    a: int


@dataclass
class Doc:
    n: int


class Pdf(Doc): ...


class Db: ...


def db() -> AbstractAsyncContextManager[Db]:
    raise NotImplementedError


@mesh.agent
async def greet(name: str) -> str:
    return name


@mesh.agent(slots=3)
async def with_task(task: Task, doc: In) -> list[int]:
    return [task.attempt]


@mesh.agent(run="process")
def in_process(doc: Doc) -> bytes:
    return b""


@mesh.agent
async def tick() -> int:
    return 1


@mesh.agent
async def tick_task(task: Task) -> int:
    return 1


@mesh.agent(lifespan=db)
async def with_db(task: Task[Db], td: TD) -> str:
    assert_type(task.resource, Db)
    return ""


@mesh.agent
async def batch(docs: list[Doc]) -> int | None:
    return None


@mesh.workflow
async def flow(ctx: Context, names: list[str]) -> dict[str, int]:
    assert_type(greet, Agent[str, str])
    assert_type(with_task, Agent[In, list[int]])
    assert_type(in_process, Agent[Doc, bytes])
    assert_type(tick, Agent[None, int])
    assert_type(tick_task, Agent[None, int])
    assert_type(with_db, Agent[TD, str])
    assert_type(await ctx.call(greet, "n"), str)
    assert_type(await ctx.call(greet, "n", options=FAST), str)
    assert_type(await ctx.call(with_task, In(x=1)), list[int])
    assert_type(await ctx.call(tick), int)
    assert_type(await ctx.call(tick, options=FAST), int)
    assert_type(await ctx.call(with_db, {"a": 1}), str)
    assert_type(await ctx.call(batch, [Pdf(1)]), int | None)
    assert_type(await ctx.call(batch, []), int | None)
    assert_type(await ctx.call("by-name", {"x": 1}), Any)
    assert_type(await ctx.map(greet, names, concurrency=4), list[str])
    assert_type(await ctx.map_settled(greet, names), list[str | CallFailed])
    assert_type(await asyncio.gather(ctx.call(greet, "a"), ctx.call(tick)), tuple[str, int])
    async with asyncio.TaskGroup() as tg:
        t = tg.create_task(ctx.call(greet, "a"))
    assert_type(t.result(), str)
    async with asyncio.timeout(5):
        assert_type(await ctx.receive(approve), TD)
    assert_type(await ctx.ask("?", choices=["a", "b"]), Answer[str])
    yes: Answer[Literal["yes", "no"]] = await ctx.ask("?", answer=Literal["yes", "no"], default="no")
    assert yes
    child = await ctx.start(flow, ["a"], id="c1")
    assert_type(child, Child[dict[str, int]])
    assert_type(await ctx.call(flow, []), dict[str, int])
    if ctx.entries > 10_000:
        ctx.continue_as_new(flow, names)
    return {}


approve = Signal("approve", TD)
mood = Signal("mood", Literal["good", "bad"])
extract = Agent.remote("extract", In, list[str] | None)
other = Workflow.remote("other", TD, Literal["a", "b"])


async def client_side(client: Client) -> None:
    assert_type(extract, Agent[In, list[str] | None])
    assert_type(await client.start(flow, ["a"]), WorkflowHandle[dict[str, int]])
    h = await client.start(flow, ["a"], id="x")
    assert_type(await h.result(timeout=timedelta(seconds=3)), dict[str, int])
    await h.signal(approve, {"a": 1})
    await h.signal(approve, TD(a=1), undeclared=True)
    await h.signal("approve", 7, undeclared=True)
    await h.signal(mood, "good")
    assert_type(await client.run(flow, [], id="y"), dict[str, int])
    assert_type(client.handle("x", flow), WorkflowHandle[dict[str, int]])
    assert_type(await client.call(extract, In(x=1), request_id="r"), list[str] | None)
    async for info in client.list(state="FAILED"):
        assert_type(info.id, str)
    with SyncClient() as sync:
        assert_type(sync.run(flow, ["a"], id="z"), dict[str, int])


async def tests() -> None:
    assert_type(await run_agent(greet, "Ada"), str)
    assert_type((await AgentTest(attempt=2).run(with_task, In(x=1))).result, list[int])
    t = WorkflowTest()
    t.stub(greet, lambda name: f"hi {name}")
    t.stub(tick, [CallFailed(), 3])
    t.after(timedelta(days=3)).signal(approve, {"a": 1})
    run = t.run(flow, ["Ada"])
    assert_type(run.result, dict[str, int])
    assert_type(run.calls(greet), list[str])
