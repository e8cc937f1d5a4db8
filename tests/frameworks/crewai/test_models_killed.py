# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of a crew's task whose calls of models are tasks: no call that has ended is made again, and if the process
that calls models lives, the one that runs is not made again either."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frameworks.crewai import models_app as app
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(500)
PATIENCE = START = 150.0
DRAFT = {"title": "Bees", "text": "They fly."}
AFTER_LEGS = "legs: found"
AFTER_EYES = "eyes: found"


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str, llm: StandIn) -> Iterator[ProcessMesh]:
    place = "tests/frameworks/crewai/models_app.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=place, **llm.environment) as mesh:
        yield mesh


def script(llm: StandIn, *, held: str) -> None:
    """The conversation of the task `facts` has three calls; `held` is the one whose first answer does not come."""
    facts = (
        Rule("Current Task: facts on bees", tools=[ToolCall("look_up", {"what": "legs"})]),
        Rule(AFTER_LEGS, tools=[ToolCall("look_up", {"what": "eyes"})]),
        Rule(AFTER_EYES, reply="six legs, five eyes"),
    )
    for rule in facts:
        if rule.when == held:
            llm.script(Rule(rule.when, hold_after=0, times=1, reply=rule.reply, tools=rule.tools))
    llm.script(
        *facts,
        Rule("Current Task: figures on bees", reply="20,000 kinds"),
        Rule("Current Task: draft on bees", json=DRAFT),
        Rule("Current Task: check bees", reply="right"),
    )


def asked(llm: StandIn, content: str) -> int:
    """How often a request was sent whose last message has this text."""
    return len(llm.requests(content))


def check(llm: StandIn, result: dict[str, object], repeated: int) -> None:
    """The result of an undisturbed run, its tokens once, and only the call that ran was repeated."""
    assert result["raw"] == "right"
    assert [one["raw"] for one in result["tasks_output"][:2]] == ["six legs, five eyes", "20,000 kinds"]  # type: ignore[attr-defined]
    assert result["tasks_output"][2]["pydantic"] == DRAFT  # type: ignore[index]
    assert result["token_usage"]["successful_requests"] == 6  # type: ignore[index]
    assert llm.paid_twice() == {}
    assert len(llm.requests()) == 6 + repeated
    for content in ("Current Task: facts on bees", "figures on bees", "draft on bees", "check bees"):
        assert asked(llm, content) == 1, content


async def test_node_and_agent_die_with_the_call_that_runs(host: ProcessMesh, llm: StandIn) -> None:
    script(llm, held=AFTER_EYES)
    node = await host.node().until_ready(START)
    agent = await host.agent("--name", "first").until_ready(START)
    async with host.client() as client:
        await client.start(app.report, {"topic": "bees"}, id="bees")
        await until(lambda: asked(llm, AFTER_EYES) == 1, "the third call of the task runs", 90, host)
        second = await host.node().until_ready(START)
        await host.agent("--name", "second", NERVENET_ADDRESS=second.address).until_ready(START)
        agent.kill()
        node.kill()
    async with host.client() as client:
        result = await client.handle("bees").result(timeout=PATIENCE)
    check(llm, result, repeated=1)
    assert asked(llm, AFTER_LEGS) == 1 and asked(llm, AFTER_EYES) == 2
    assert len(host.effects("look_up_legs")) == 2  # tools run again: the answers that ask for them are there


async def test_the_call_goes_on_if_only_the_process_of_the_task_dies(host: ProcessMesh, llm: StandIn) -> None:
    script(llm, held=AFTER_LEGS)
    await host.node().until_ready(START)
    await host.agent("--name", "models", "--only", "report-model").until_ready(START)
    roles = ["--only", "report-researcher,report-analyst,report-writer"]
    no_key = {"OPENAI_API_KEY": "sk-none"}  # these processes never call the model
    first = await host.agent("--name", "first", *roles, **no_key).until_ready(START)
    async with host.client() as client:
        await client.start(app.report, {"topic": "bees"}, id="bees")
        await until(lambda: asked(llm, AFTER_LEGS) == 1, "the second call of the task runs", 90, host)
        assert host.effects("look_up_legs") == [f"pid {first.pid}"]
        second = await host.agent("--name", "second", *roles, **no_key).until_ready(START)
        first.kill()
        await until(lambda: f"pid {second.pid}" in host.effects("look_up_legs"), "the next attempt is there", 90, host)
        llm.release()
        result = await client.handle("bees").result(timeout=PATIENCE)
    check(llm, result, repeated=0)


async def test_only_the_node_dies(host: ProcessMesh, llm: StandIn) -> None:
    script(llm, held=AFTER_LEGS)
    await host.node().until_ready(START)
    await host.node().until_ready(START)
    await host.agent().until_ready(START)
    async with host.client() as client:
        await client.start(app.report, {"topic": "bees"}, id="bees")
        await until(lambda: asked(llm, AFTER_LEGS) == 1, "the second call of the task runs", 90, host)
        owner = await owner_of(client.handle("bees"), host.nodes)
        owner.kill()
        llm.release()
    async with host.client() as client:
        result = await client.handle("bees").result(timeout=PATIENCE)
    check(llm, result, repeated=0)
    assert len(host.effects("look_up_legs")) == 1  # the attempt was not disturbed


async def test_a_hierarchical_crew(host: ProcessMesh, llm: StandIn) -> None:
    delegate = {"task": "count the legs", "context": "bees", "coworker": "Researcher"}
    llm.script(
        Rule("Current Task: facts on bees", tools=[ToolCall("delegate_work_to_coworker", delegate)]),
        Rule("Current Task: count the legs", tools=[ToolCall("look_up", {"what": "legs"})]),
        Rule(AFTER_LEGS, hold_after=0, times=1, reply="six"),
        Rule(AFTER_LEGS, reply="six"),
        Rule("^six", role="tool", reply="six legs"),
        Rule("Current Task: figures on bees", reply="20,000 kinds"),
    )
    node = await host.node().until_ready(START)
    agent = await host.agent("--name", "first").until_ready(START)
    async with host.client() as client:
        await client.start(app.team, {"topic": "bees"}, id="team")
        await until(lambda: asked(llm, AFTER_LEGS) == 1, "the coworker's second call runs", 90, host)
        second = await host.node().until_ready(START)
        await host.agent("--name", "second", NERVENET_ADDRESS=second.address).until_ready(START)
        agent.kill()
        node.kill()
    async with host.client() as client:
        result = await client.handle("team").result(timeout=PATIENCE)
    assert [one["raw"] for one in result["tasks_output"]] == ["six legs", "20,000 kinds"]
    assert result["token_usage"]["successful_requests"] == 5
    assert llm.paid_twice() == {}
    assert len(llm.requests()) == 6 and asked(llm, AFTER_LEGS) == 2
