# SPDX-License-Identifier: Apache-2.0
"""`SyncClient` against a real mesh: the methods of Client without await, from threads that have no loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import nervenet.dev
from nervenet import (
    Client,
    Config,
    Context,
    Mesh,
    Resolution,
    Signal,
    SyncClient,
    SyncHandle,
    Task,
    WorkflowFailed,
    WorkflowHandle,
    errors,
)

mesh = Mesh("sync")
go = Signal[str]("go", str)
heard = threading.Event()


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.agent
async def spell(task: Task, word: str) -> int:
    for letter in word:
        task.emit(letter)
    await asyncio.to_thread(heard.wait, 20)  # whoever watches while it runs misses nothing
    return len(word)


@mesh.workflow
async def welcome(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name)


@mesh.workflow
async def spelling(ctx: Context, word: str) -> int:
    await ctx.receive(go)
    return await ctx.call(spell, word)


@mesh.workflow
async def waits(ctx: Context) -> str:
    return await ctx.receive(go)


@mesh.workflow
async def asks(ctx: Context) -> str:
    return (await ctx.ask("Release?", choices=["yes", "no"])).value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def config() -> AsyncIterator[Config]:
    async with nervenet.dev.running(mesh) as client:
        yield client.config


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("sync client")]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "nervenet client"]


async def test_values_go_in_and_come_out_and_the_thread_ends_with_the_client(config: Config) -> None:
    def program() -> None:
        with SyncClient(config=config) as client:
            assert threads() == []  # nothing happens before the first call
            assert client.run(welcome, "Ada") == "Hello, Ada"
            run = client.start(welcome, "Grace", id="w-grace")
            assert run.created and run.result(timeout=10) == "Hello, Grace"
            assert not client.start(welcome, "Grace", id="w-grace").created
            many = client.start_many(welcome, {f"many-{n}": str(n) for n in range(5)})
            assert [many[f"many-{n}"].result() for n in range(5)] == [f"Hello, {n}" for n in range(5)]
            assert client.call(greet, "Edsger", request_id="mail-77") == "Hello, Edsger"
            assert {w.id for w in client.list(definition="welcome")} >= {"w-grace", "many-0"}
            assert [w.id for w in client.list(definition="welcome", limit=1)] != []
            assert threads() == ["nervenet client"]
        with pytest.raises(RuntimeError, match="closed"):
            client.run(welcome, "Ada")
        client.close()

    await asyncio.to_thread(program)
    assert threads() == []


async def test_a_workflow_is_watched_signalled_and_cancelled(config: Config) -> None:
    def program() -> None:
        with SyncClient(config=config) as client:
            run = client.start(spelling, "abc", id="spelling")
            first = next(events := run.watch())
            assert first.name == "start"
            events.close()  # left early: the client is not held up by it
            run.signal(go, "on")
            said = []
            for part in run.partials(spell, str):
                said.append(part.value)
                if part.value == "c":
                    heard.set()
            assert said == ["a", "b", "c"]
            assert run.result() == 3 and run.info().state == "SUCCEEDED"
            assert [event.kind for event in run.watch(after=1)] == ["signal", "task", "closed"]

            other = client.handle(client.start(waits).id, waits)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.05)
            other.cancel("enough")
            with pytest.raises(errors.WorkflowCanceled):
                other.result(timeout=10)

    await asyncio.to_thread(program)


async def test_a_human_answers(config: Config) -> None:
    def program() -> None:
        with SyncClient(config=config) as client:
            run = client.start(asks, id="asks")
            next(event for event in run.watch() if event.kind == "escalated")
            (question,) = client.escalations(workflow_id="asks")
            client.resolve(question.id, Resolution.complete("yes"))
            assert run.result(timeout=10) == "yes"

    await asyncio.to_thread(program)


async def test_it_refuses_where_it_would_block_a_loop(config: Config) -> None:
    client = SyncClient(config=config)
    with pytest.raises(RuntimeError, match=r"use Client here \(async with Client\(\) …\)"):
        client.run(welcome, "Ada")
    with pytest.raises(RuntimeError, match="use Client here"), client:
        pass
    assert threads() == []


async def test_many_threads_share_one_and_closing_it_ends_their_waits(config: Config) -> None:
    client = SyncClient(config=config)
    ids = [f"shared-{n}" for n in range(4)]
    handles = await asyncio.gather(*(asyncio.to_thread(client.start, waits, id=key) for key in ids))
    results = [asyncio.create_task(asyncio.to_thread(handle.result)) for handle in handles]
    await asyncio.to_thread(handles[0].signal, go, "now")
    assert await results[0] == "now"
    await asyncio.to_thread(client.close)
    outcomes = await asyncio.gather(*results[1:], return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["this SyncClient was closed while it waited"] * 3
    async with Client(config=config) as left:
        states = [(await left.handle(key).info()).state for key in ids[1:]]
        assert states == ["RUNNING"] * 3  # workflows do not notice


async def test_errors_are_those_of_client(config: Config) -> None:
    def program() -> None:
        with SyncClient(config=config) as client:
            with pytest.raises(errors.NotFound):
                client.run("nothing_like_it")
            run = client.start(waits, id="doomed")
            run.cancel()
            with pytest.raises(WorkflowFailed):
                run.result()

    await asyncio.to_thread(program)


def public(kind: type) -> dict[str, list[str]]:
    methods = {name: value for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}
    return {name: [p for p in inspect.signature(value).parameters if p != "self"] for name, value in methods.items()}


@pytest.mark.parametrize(("sync", "plain"), [(SyncClient, Client), (SyncHandle, WorkflowHandle)])
async def test_no_method_is_missing(sync: type, plain: type) -> None:
    assert set(public(sync)) == set(public(plain))
