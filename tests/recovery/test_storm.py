# SPDX-License-Identifier: Apache-2.0
"""Agents that die of what a task does, and agents that die of something else. (`make storm` is the form of two minutes.)"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nervenet import Resolution
from nervenet.durable.retry import LOST_LIMIT
from tests.recovery import storm, stuck_app
from tests.support.mesh import ProcessMesh, settled

pytestmark = pytest.mark.long

SEED = 21


async def test_no_innocent_is_blamed_while_agents_are_killed_and_stopped(
    tmp_path: Path, redis_url: str, etcd_url: str
) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        report = await storm.storm(host, SEED, seconds=6, workflows=60)
    assert not storm.violations(report), storm.line(report)


async def test_a_poison_beside_innocents_is_stopped_after_three_agents_and_a_human_is_asked(
    tmp_path: Path, redis_url: str, etcd_url: str
) -> None:
    """The tasks that went down with it are tried again, and end; the question says what was lost and what to do."""
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        host.up(host.node(storm.APP), host.node(storm.APP))
        agents = host.up(*(host.agent(app=storm.APP) for _ in range(LOST_LIMIT + 1)))
        async with host.client() as client:
            innocents = await client.start_many(stuck_app.busy, {f"busy-{n}": 8 for n in range(20)})
            poison = await client.start(stuck_app.poisoned, "exit", id="poison")
            info = await settled(poison, "WAITING_FOR_HUMAN", host, 60)
            (question,) = [one async for one in client.escalations()]
            assert list(info.open_escalations) == [question.id] and question.workflow_id == "poison"
            assert question.failure is not None and question.failure.code == "AGENT_LOST"
            assert question.question.startswith(
                "poison may be what ends its agents. 3 agents in a row were lost with it: "
            )
            dead = [agent.id for agent in agents if not agent.alive]
            assert len(dead) == LOST_LIMIT and all(f"agent {one} died" in question.question for one in dead)
            await client.resolve(question.id, Resolution.complete("by hand", comment="it kills them"))
            assert await poison.result(timeout=20) == "by hand"
            async with asyncio.timeout(60):
                lost = await asyncio.gather(*(run.result() for run in innocents.values()))
            assert len(host.effects("poison")) == LOST_LIMIT and sum(lost) > 0, "some went down with it"
