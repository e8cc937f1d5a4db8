# SPDX-License-Identifier: Apache-2.0
"""People, clean-up and children on real processes, while the nodes that own them are killed."""

from __future__ import annotations

import asyncio

import pytest

from nervenet import Client, Resolution, WorkflowHandle
from nervenet.errors import AlreadyClosed, RequestError, WorkflowCanceled
from tests.recovery import saga_app
from tests.support.mesh import ProcessMesh, owner_of, settled
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

APP = "tests/recovery/saga_app.py"


async def kill_owner(host: ProcessMesh, run: WorkflowHandle[object]) -> None:
    """And wait until another node has it."""
    owner = await owner_of(run, host.nodes)
    owner.kill()
    owner.wait()

    async def moved() -> bool:
        try:
            info = await run.info()
        except RequestError:
            return False
        return info.node_id != owner.id and not info.partial

    await until(moved, f"{run.id} has another owner", 30, host)


@pytest.mark.long
async def test_three_questions_are_answered_independently_and_once_though_their_owners_die(host: ProcessMesh) -> None:
    with host:
        nodes = host.up(*(host.node(APP) for _ in range(4)))
        async with host.client() as client:
            run = await client.start(saga_app.asks, 12, id="survey")

            async def three() -> bool:
                return len((await run.info()).open_escalations) == 3

            await until(three, "three questions", 20, host)
            await kill_owner(host, run)
            await until(three, "three questions at the next owner", 20, host)
            await client.resolve("survey/ask#1", Resolution.complete("yes", resolver="ana"))

            left = host.nodes
            said = await asyncio.gather(*(at(host, node, "survey/ask.2#1", node.id) for node in left[:2]))
            assert sorted(word == "told" for word in said) == [False, True], said
            await kill_owner(host, run)
            winner = next(node.id for node, word in zip(left, said, strict=False) if word == "told")
            result = await run.result(timeout=40)
            assert result == ["yes by ana", f"no by {winner}", "no by deadline"]
            assert len(host.nodes) == len(nodes) - 2

            async def nothing() -> bool:
                return [one async for one in client.escalations()] == []

            await until(nothing, "no question is left", 20, host)


async def at(host: ProcessMesh, node: NervenetProcess, question: str, who: str) -> str:
    """One person's answer, through one node."""
    async with host.client(at=node) as client:
        try:
            await client.resolve(question, Resolution.complete("no", resolver=who))
        except AlreadyClosed as error:
            return f"refused: {error.metadata['resolver']}"
        return "told"


async def test_a_cancel_reaches_the_agent_and_its_clean_up_survives_the_owner(host: ProcessMesh) -> None:
    with host:
        host.up(*(host.node(APP) for _ in range(3)))
        host.up(host.agent(app=APP))
        async with host.client() as client:
            run = await client.start(saga_app.trip, 1, id="trip")
            await host.effect("trip", "books flight")
            await run.cancel("no more")
            await host.effect("trip", "stopped flight", within=5)
            await host.effect("trip", "undoes car")
            await kill_owner(host, run)
            with pytest.raises(WorkflowCanceled):
                await run.result(timeout=40)
            undone = [line for line in host.effects("trip") if line.startswith("und")]
            assert undone == ["undoes car #1", "undone car", "undoes flight #1", "undone flight"]


@pytest.mark.long
async def test_children_go_with_their_parent_or_stay(host: ProcessMesh) -> None:
    with host:
        host.up(*(host.node(APP) for _ in range(3)))
        host.up(host.agent(app=APP))
        async with host.client() as client:
            await begin_family(host, client)
            parent = client.handle("family", saga_app.parent)
            await kill_owner(host, parent)
            await parent.cancel("enough")
            with pytest.raises(WorkflowCanceled):
                await parent.result(timeout=40)
            with pytest.raises(WorkflowCanceled):
                await client.handle("family-goes-along", saga_app.trip).result(timeout=40)
            stays = client.handle("family-stays", saga_app.trip)
            assert (await settled(stays, "RUNNING", host)).state == "RUNNING"
            assert host.effects("family-stays") == ["books flight"]
            await stays.cancel("now you, too")
            with pytest.raises(WorkflowCanceled):
                await stays.result(timeout=40)


async def begin_family(host: ProcessMesh, client: Client) -> None:
    await client.start(saga_app.parent, 1, id="family")
    for name in ("family-goes-along", "family-stays"):
        await host.effect(name, "books flight")
