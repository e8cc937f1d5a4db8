# SPDX-License-Identifier: Apache-2.0
"""Stuck but alive, on real processes: who accepts nothing or fails everything, tasks that kill their agents, long tasks."""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest

from nervenet import Client, WorkflowFailed
from nervenet.client.raw import RawClient
from nervenet.durable.retry import LOST_LIMIT
from tests.recovery import stuck_app
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

APP = "tests/recovery/stuck_app.py"
LONG = float(os.environ.get("LONG_TASK_SECONDS", "14"))
"""More than two leases and two claims; a run by hand takes minutes."""


async def barred(host: ProcessMesh, client: Client, agent: NervenetProcess) -> str:
    """What every node, asked for a choice with its reasons, says of this agent."""
    async with RawClient(client.config) as raw:
        answer = await raw.call("SelectAgent", capability="work", explain=True)
    return next(one.rejected for one in answer.candidates if one.agent_id == agent.id)


async def test_an_agent_that_reads_nothing_is_found_though_its_heart_beats(host: ProcessMesh) -> None:
    with host:
        host.up(host.node(APP))
        deaf, fine = host.up(host.agent(app=APP, DEAF="1"), host.agent(app=APP))
        async with host.client() as client:
            runs = await client.start_many(stuck_app.one, {f"w{n}": n for n in range(40)})
            async with asyncio.timeout(30):
                results = [await run.result() for run in runs.values()]
            assert {result.split()[-1] for result in results} == {str(fine.pid)}
            assert "did not take a task of 'work' in time" in await barred(host, client, deaf)
            assert deaf.alive
            more = await client.start_many(stuck_app.one, {f"v{n}": n for n in range(40)})
            async with asyncio.timeout(0.9):  # within the accept timeout: nothing was sent to the deaf one
                await asyncio.gather(*(run.result() for run in more.values()))


async def test_an_agent_that_fails_everything_is_left_out_while_another_succeeds(host: ProcessMesh) -> None:
    with host:
        host.up(host.node(APP))
        broken, _ = host.up(host.agent(app=APP, BROKEN="1"), host.agent(app=APP))
        async with host.client() as client:
            numbers, why = itertools.count(), ""
            async with asyncio.timeout(60):
                while not why:
                    n = next(numbers)
                    await client.run(stuck_app.one, n, id=f"w{n}")
                    why = await barred(host, client, broken)
            assert "attempts at 'work' failed in a row" in why
            runs = await client.start_many(stuck_app.one, {f"v{n}": n for n in range(30)})
            await asyncio.gather(*(run.result() for run in runs.values()))
            assert [host.effects(f"v{n}") for n in range(30)] == [["fine #1"]] * 30


async def test_who_failed_a_task_does_not_get_it_from_the_queue_while_another_lives(host: ProcessMesh) -> None:
    with host:
        host.up(host.node(APP))
        _, fine = host.up(host.agent(app=APP, BROKEN="1"), host.agent(app=APP))
        async with host.client() as client:
            turns: list[int] = []
            async with asyncio.timeout(60):
                while sum(turns) < 5:  # the first one that polls has it: until the broken one had its turns
                    names = {f"w{n}": n for n in range(len(turns), len(turns) + 10)}
                    runs = await client.start_many(stuck_app.elsewhere, names)
                    await asyncio.gather(*(run.result() for run in runs.values()))
                    turns += [sum("broken" in line for line in host.effects(name)) for name in names]
            assert max(turns) == 1, turns

            fine.kill()
            fine.wait()
            await until(lambda: not_alive(client, fine), "the registry knows that it is dead", 20, host)
            last = await client.start(stuck_app.elsewhere, 1, id="last")
            await until(lambda: len(host.effects("last")) > 3, "the last one left gets it after all", 20, host)
            await last.cancel()


async def not_alive(client: Client, agent: NervenetProcess) -> bool:
    async with RawClient(client.config) as raw:
        return all(one.agent.agent_id != agent.id for one in (await raw.call("ListAgents")).agents)


async def test_a_task_that_kills_its_agents_fails_after_three_where_the_policy_says_so(host: ProcessMesh) -> None:
    """By default a human is asked: `test_storm.py`."""
    with host:
        host.up(host.node(APP))
        host.up(*(host.agent("--only", "poison", app=APP) for _ in range(LOST_LIMIT + 1)))
        async with host.client() as client:
            with pytest.raises(WorkflowFailed) as failed:
                await (await client.start(stuck_app.dies, "x", id="dies")).result(timeout=40)
            failure = failed.value.failure
            assert failure.code == "AGENT_LOST" and failure.message.startswith("3 agents in a row were lost with it: ")
            assert len(host.effects("dies")) == LOST_LIMIT
            assert sum(role.alive for role in host.processes) == 2, "one node, one agent"


@pytest.mark.long
@pytest.mark.timeout(LONG + 120)
async def test_a_long_task_is_not_sent_again_while_its_agent_lives(host: ProcessMesh) -> None:
    """Through the death of its owner, and far beyond claims, leases and the accept timeout."""
    with host:
        nodes = host.up(*(host.node(APP) for _ in range(2)))
        host.up(*(host.agent(app=APP) for _ in range(2)))
        async with host.client() as client:
            runs = await client.start_many(stuck_app.long, {f"w{n}": LONG for n in range(6)})
            await until(lambda: all(host.effects(f"w{n}") for n in range(6)), "all run", 20, host)
            owner = await owner_of(runs["w0"], list(nodes))
            await asyncio.sleep(2)
            owner.kill()
            async with asyncio.timeout(LONG + 30):
                assert await asyncio.gather(*(run.result() for run in runs.values())) == [1] * 6
            assert all(host.effects(f"w{n}") == ["began #1", "ended #1"] for n in range(6))
