# SPDX-License-Identifier: Apache-2.0
"""Workflows that start workflows and write to each other, on real nodes: whatever gets lost in between is found."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from nervenet.definitions import Signal
from nervenet.durable.context import Context
from nervenet.errors import CallFailed
from nervenet.mesh import Mesh
from nervenet.options import CallOptions, StartOptions, Timeouts
from nervenet.records import Cancel, ChildStarted, Outcome, Payload, Signaled, SignalSent, Start, State
from tests.node.hand import World, end_of, journal, start, until_entry
from tests.support.waiting import until

mesh = Mesh("families")
word = Signal("word", str)


@mesh.workflow
async def listens(ctx: Context, name: str) -> str:
    return f"{name} heard {await ctx.receive(word)}"


@mesh.workflow
async def tells(ctx: Context, name: str) -> str:
    child = await ctx.start(listens, name)
    await child.signal(word, "hello")
    return await child.result()


@mesh.workflow
async def calls(ctx: Context, name: str) -> str:
    return "(" + await ctx.call(listens, name) + ")"


@mesh.workflow
async def breaks(ctx: Context) -> str:
    raise ValueError("no luck")


@mesh.workflow
async def copes(ctx: Context) -> str:
    try:
        await ctx.call(breaks)
    except CallFailed as error:
        if not error.is_a(ValueError):
            return "wrong"
    try:
        await ctx.call(listens, "slow", options=CallOptions(timeouts=Timeouts(total=timedelta(milliseconds=100))))
    except TimeoutError:
        return "copes"
    return "never"


@mesh.workflow
async def leaves(ctx: Context, name: str) -> list[str]:
    kept = await ctx.start(listens, name, options=StartOptions(abandon_children=True))
    given_up = await ctx.start(listens, name)
    return [kept.id, given_up.id]


@mesh.workflow
async def cancels(ctx: Context) -> str:
    child = await ctx.start(listens, "x", id="by-hand")
    await child.cancel()
    try:
        return await child.result()
    except CallFailed as error:
        return error.failure.code


@mesh.workflow
async def whispers(ctx: Context, to: str) -> str:
    try:
        await ctx.signal(to, word, "psst")
    except CallFailed as error:
        return error.failure.type
    return "sent"


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


def text(value: str) -> Payload:
    return Payload("json", f'"{value}"'.encode())


async def test_a_child_is_started_signalled_and_its_result_is_the_steps(world: World) -> None:
    async with world.node(mesh) as node:
        assert (await (await start(node, "tells", "p", b'"Ada"'))).output == text("Ada heard hello")
        entries = await journal(node, "p")
        assert list(entries) == ["start", "child:listens", "sent:word", "task:listens", "close"]
        assert entries["child:listens"].body == ChildStarted("p/listens", "listens")
        assert entries["sent:word"].body == SignalSent("p/listens", "word")
        begun = (await journal(node, "p/listens"))["start"].body
        assert isinstance(begun, Start) and begun.parent == ("p", 1, "listens")


async def test_a_failed_child_and_one_out_of_time_fail_the_call(world: World) -> None:
    async with world.node(mesh) as node:
        assert (await (await start(node, "copes", "p", b"null"))).output == text("copes")


async def test_a_canceled_parent_takes_its_children_along(world: World) -> None:
    async with world.node(mesh) as node:
        end = await start(node, "calls", "p", b'"Ada"')
        await until_entry(node, "p", "child:listens")
        await node.facts.record("p", 1, "cancel", Cancel("enough"), "test")
        assert (await end).state is State.CANCELED
        assert (await end_of(node, "p/listens")).state is State.CANCELED


async def test_a_parent_that_ends_cancels_the_children_that_it_does_not_abandon(world: World) -> None:
    async with world.node(mesh) as node:
        assert (await (await start(node, "leaves", "p", b'"Ada"'))).state is State.SUCCEEDED
        assert (await end_of(node, "p/listens.2")).state is State.CANCELED
        assert "cancel" not in await journal(node, "p/listens")


async def test_a_child_is_canceled_by_its_handle(world: World) -> None:
    async with world.node(mesh) as node:
        assert (await (await start(node, "cancels", "p", b"null"))).output == text("CANCELED")
        assert "cancel" in await journal(node, "by-hand")


async def test_an_id_that_is_somebody_elses_is_refused(world: World) -> None:
    async with world.node(mesh) as node:
        (await start(node, "listens", "by-hand", b'"x"')).cancel()
        close = await (await start(node, "cancels", "p", b"null"))
        assert close.failure is not None and close.failure.type == "AlreadyExists"
        assert "cancel" not in await journal(node, "by-hand")


async def test_signals_to_others_go_out_once_and_say_when_nobody_takes_them(world: World) -> None:
    async with world.node(mesh) as node:
        other = await start(node, "listens", "other", b'"Bo"')
        assert (await (await start(node, "whispers", "a", b'"other"'))).output == text("sent")
        assert (await other).output == text("Bo heard psst")
        assert (await (await start(node, "whispers", "b", b'"other"'))).output == text("AlreadyClosed")
        assert (await (await start(node, "whispers", "c", b'"nobody"'))).output == text("NotFound")


async def test_a_parent_goes_on_elsewhere_and_finds_a_child_that_ended_unreported(world: World) -> None:
    async with world.node(mesh) as first:
        (await start(first, "calls", "p", b'"Ada"')).cancel()
        await until_entry(first, "p", "child:listens")
        first.hosted.forget(first.hosted.coordinators["p"])  # it hears nothing
        first.hosted.forget(first.hosted.coordinators["p/listens"])
    async with world.node(mesh) as second:
        await until(lambda: {"p", "p/listens"} <= set(second.hosted.coordinators))
        lost = second.children.report
        reported = asyncio.Event()

        async def report(*_: object) -> None:
            reported.set()

        second.children.report = report  # type: ignore[method-assign]  # the report that got lost
        await second.facts.record("p/listens", 1, "signal:1", Signaled("word", text("late")), "test")
        await reported.wait()
        second.children.report = lost  # type: ignore[method-assign]
        assert (await end_of(second, "p")).output == text("(Ada heard late)")
        body = (await journal(second, "p"))["task:listens"].body
        assert isinstance(body, Outcome) and body.capability == "listens"
