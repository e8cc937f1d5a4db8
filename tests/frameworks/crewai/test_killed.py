# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the node and of the agent in the middle of a crew and of a flow: the result is that of an undisturbed run, and no
request to the model is paid twice. The one that was running is sent again."""

from __future__ import annotations

import re
import sys
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from nervenet import WorkflowHandle
from tests.frameworks.crewai import app
from tests.frameworks.llm_server import Rule, StandIn
from tests.support.environment import ROOT, clean_environment
from tests.support.mesh import ProcessMesh
from tests.support.permissions import make_user
from tests.support.processes import NervenetProcess, Process
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.timeout(500)
PATIENCE = START = 150.0


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str, llm: StandIn) -> Iterator[ProcessMesh]:
    place = "tests/frameworks/crewai/app.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=place, **llm.environment) as mesh:
        mesh.let_agents("agent", "flows")  # its flows keep their state with the agent's user
        yield mesh


async def pair(host: ProcessMesh, name: str) -> tuple[NervenetProcess, NervenetProcess]:
    """A new node and a new agent. Each imports CrewAI, which takes seconds of a core."""
    node = await host.node().until_ready(START)
    return node, await host.agent("--name", name).until_ready(START)


async def recorded(handle: WorkflowHandle[Any], names: Collection[str]) -> None:
    """Wait until these entries are in the journal."""
    missing = set(names)
    async for event in handle.watch():
        missing.discard(event.name)
        if not missing:
            return
    raise AssertionError(f"{handle.id} ended without {missing}")


def asked(llm: StandIn) -> Counter[str]:
    """How often each task of the crew asked the model."""
    return Counter(_task(one.content) for one in llm.requests())


def paid(llm: StandIn) -> Counter[str]:
    return Counter(_task(one.content) for one in llm.requests() if one.outcome == "complete")


def _task(content: str) -> str:
    found = re.search(r"Current Task: (.*)", content)
    return found[1] if found else content


FLOW = (
    Rule("^outline Oslo$", reply="fjord"),
    Rule("^route fjord$", hold_after=0, times=1, reply="ferry"),
    Rule("^route fjord$", reply="ferry"),
    Rule("^letter ferry$", reply="Dear Oslo"),
)
FLOW_ASKED = Counter({"outline Oslo": 1, "route fjord": 2, "letter ferry": 1})


async def test_a_crew_of_three_agents_and_four_tasks_and_a_flow(host: ProcessMesh, llm: StandIn) -> None:
    draft = {"title": "Bees", "text": "They fly."}
    llm.script(
        Rule("Current Task: facts on bees", reply="six legs"),
        Rule("Current Task: figures on bees", reply="20,000 kinds"),
        Rule("Current Task: draft on bees", hold_after=0, times=1, json=draft),
        Rule("Current Task: draft on bees", json=draft),
        Rule("Current Task: check bees", reply="right"),
        *FLOW,
    )
    node, agent = await pair(host, "first")
    async with host.client() as client:
        crew = await client.start(app.report, {"topic": "bees"}, id="bees")
        await client.start(app.trip, "Oslo", id="oslo")
        await recorded(crew, ["task:report-researcher", "task:report-analyst"])
        for running in ("draft on bees", "route fjord"):
            await until(lambda: asked(llm)[running] == 1, f"the model is asked: {running}", 60, host)  # noqa: B023  # awaited here
        await pair(host, "second")
        assert host.effects("draft_on_bees") == host.effects("route_fjord") == [f"pid {agent.pid}"]
        agent.kill()
        node.kill()
    async with host.client() as client:
        result = await client.handle("bees").result(timeout=PATIENCE)
        assert await client.handle("oslo").result(timeout=PATIENCE) == "Dear Oslo"
    assert result["raw"] == "right"
    assert [one["name"] for one in result["tasks_output"]] == ["facts", "figures", "draft", "check"]
    assert [one["raw"] for one in result["tasks_output"][:2]] == ["six legs", "20,000 kinds"]
    assert result["tasks_output"][2]["pydantic"] == draft
    assert llm.paid_twice() == {}
    once = Counter({"facts on bees": 1, "figures on bees": 1, "check bees": 1, "draft on bees": 1})
    assert paid(llm) == once + Counter(dict.fromkeys(FLOW_ASKED, 1))
    assert asked(llm) == once + Counter({"draft on bees": 1}) + FLOW_ASKED
    contexts = {_task(one.content): one.content for one in llm.requests()}
    assert "six legs\n\n----------\n\n20,000 kinds" in contexts["draft on bees"]
    assert contexts["check bees"].count("----------") == 2  # all three outputs before it


def test_a_flow_alone_goes_on_in_another_process(tmp_path: Path, redis_url: str, llm: StandIn) -> None:
    llm.script(*FLOW)
    flow, namespace = str(uuid.uuid4()), f"t{uuid.uuid4().hex[:12]}"
    env = clean_environment(
        PYTHONPATH=str(ROOT),
        NERVENET_REDIS=make_user(redis_url, "flows", namespace),
        NERVENET_NAMESPACE=namespace,
        STORY_FOLDER=str(tmp_path),
        **llm.environment,
    )

    def start(how: str) -> Process:
        command = [sys.executable, "-m", "tests.frameworks.crewai.flows", flow, "Oslo"]
        return Process(command, tmp_path / f"{how}.log", env)

    first = start("first")
    try:
        wait_until(lambda: llm.asked()["route fjord"] == 1, "the second step runs", within=100, of=first)
    finally:
        first.kill()
    second = start("second")
    try:
        assert second.wait(100) == 0, second.logs()
    finally:
        second.kill()
    assert second.log.splitlines()[-1] == "ended with Dear Oslo"
    assert llm.asked() == FLOW_ASKED
