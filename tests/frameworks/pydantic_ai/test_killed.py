# SPDX-License-Identifier: Apache-2.0
"""kill -9 of node and agent in the middle of a run with tools, an MCP server and an approval: the result is that of an undisturbed
run, and no request to the model is paid twice. The one that was running is sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nervenet import Escalation, Resolution
from tests.frameworks.llm_server import Record, Rule, StandIn, ToolCall
from tests.frameworks.pydantic_ai import desk
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(400)
QUESTION = "order 7 is broken"
CALLS = [
    ToolCall("status", {"order": "7"}),
    ToolCall("price", {"order": "7"}),
    ToolCall("read_rule", {"topic": "refund"}),
    ToolCall("refund", {"order": "7"}),
]
DECISION = [ToolCall("final_result", {"order": "7", "euros": 42})]


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str, llm: StandIn) -> Iterator[ProcessMesh]:
    """Two nodes and two agents."""
    app = "tests/frameworks/pydantic_ai/desk.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=app, **llm.environment) as mesh:
        mesh.up(mesh.node(), mesh.node())
        mesh.up(mesh.agent("--name", "first"), mesh.agent("--name", "second"))
        yield mesh


def sender(host: ProcessMesh, request: Record) -> NervenetProcess:
    """The agent process that sent a request to the model."""
    return next(one for one in host.processes if str(one.pid) == request.headers["x-pid"])


async def question(client: Any) -> Escalation:
    """The question that is open."""

    async def asked() -> Escalation | None:
        return next(iter([one async for one in client.escalations()]), None)

    found: Escalation = await until(asked, "a person is asked", 90)
    return found


async def test_node_and_agent_are_killed_half_way(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(
        Rule(f"^{QUESTION}$", role="user", hold_after=1, times=1, tools=CALLS),
        Rule(f"^{QUESTION}$", role="user", tools=CALLS),
        Rule("", role="tool", hold_after=0, times=1, tools=DECISION),
        Rule("", role="tool", tools=DECISION),
    )
    async with host.client() as client:
        run = await client.start(desk.decide, QUESTION, id="run")
        # The first request streams: its agent dies.
        (request,) = await until(lambda: llm.requests(QUESTION), "the model is asked", 90, host)
        sender(host, request).kill()
        host.up(host.agent("--name", "third"))
        # A person is asked: the node that owns the run dies.
        asked = await question(client)
        assert asked.question == "Run refund(order='7')?"
        (await owner_of(run, host.nodes)).kill()
        host.up(host.node())
        async with host.client() as another:
            await another.resolve(asked.id, Resolution.complete("approve", resolver="ana"))
            # The second request runs: node and agent die together.
            held = await until(
                lambda: [one for one in llm.requests() if one.role == "tool"], "the second request", 90, host
            )
            owner = await owner_of(another.handle("run"), host.nodes)
            sender(host, held[0]).kill()
            owner.kill()
            host.up(host.agent("--name", "fourth"))
            result = await another.handle("run").result(timeout=150)
    assert result["order"] == "7" and result["euros"] == 42 and result["requests"] == 2
    assert result["tokens"] > 0
    assert llm.paid_twice() == {}
    assert sorted(Counter(one.role for one in llm.requests() if one.outcome == "complete").items()) == [
        ("tool", 1),
        ("user", 1),
    ]
    assert len(llm.requests()) == 4, "each of the two that ran was sent once more"
    assert host.effects("refund") == ["7"] and host.effects("status") == ["7"] and host.effects("price") == ["7"]
    assert host.effects("mcp") == ["refund"]
