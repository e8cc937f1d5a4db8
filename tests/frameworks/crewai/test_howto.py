# SPDX-License-Identifier: Apache-2.0
"""docs/howto/crewai.md and examples/frameworks/supplier_briefing_crewai.py do what they say, with the stand-in for the model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import program_of
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.environment import ROOT, clean_environment
from tests.support.mesh import ProcessMesh

PAGE = ROOT / "docs/howto/crewai.md"


@pytest.mark.timeout(400)
def test_the_program_of_the_page(llm: StandIn, tmp_path: Path, redis_url: str) -> None:
    llm.script(
        Rule("Current Task: List facts about bees", reply="six legs"),
        Rule("Current Task: Write about bees", reply="A bee has six legs."),
        Rule("Outline a trip to Oslo", reply="fjord"),
        Rule("Write a letter: fjord", reply="Dear Oslo"),
    )
    parts = program_of(PAGE).partition('if __name__ == "__main__":\n    asyncio.run(main())\n')
    program = tmp_path / "newsroom.py"
    program.write_text(parts[0] + parts[2] + parts[1], encoding="utf-8")  # the page's classes first, then it runs
    env = clean_environment(REDIS_URL=redis_url, **llm.environment)
    ran = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Dear Oslo" in ran.stdout
    assert ran.stdout.rstrip().splitlines()[-2:] == ["A bee has six legs."] * 2
    assert sum(llm.paid().values()) == 4 and not llm.paid_twice()


EXAMPLE = (
    Rule("Current Task: Say how reliable Acme", tools=[ToolCall("order_history", {"supplier": "Acme"})]),
    Rule("Acme: 48 orders", role="tool", reply="Three of 48 orders were late."),
    Rule("Current Task: Say what Acme costs", tools=[ToolCall("price_history", {"supplier": "Acme"})]),
    Rule("Acme: 4 % above", role="tool", reply="It is 4 % above the market."),
    Rule("Current Task: Decide", anywhere="Three of 48", json={"keep": True, "reason": "It is reliable."}),
    Rule("Current Task: Write the briefing about Acme", reply="Keep Acme, and ask for a better price."),
)


@pytest.mark.timeout(400)
async def test_the_example(llm: StandIn, tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    llm.script(*EXAMPLE)
    app = ROOT / "examples/frameworks/supplier_briefing_crewai.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=str(app), **llm.environment) as host:
        await host.node().until_ready(150.0)
        await host.agent().until_ready(150.0)
        env = host.env | {"NERVENET_ADDRESS": host.addresses}
        command = [sys.executable, str(app), "briefing-1", "Acme"]
        printing = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE)
        printed, _ = await asyncio.wait_for(printing.communicate(), 150)
        async with host.client() as client:
            result = await client.handle("briefing-1").result()
    lines = printed.decode().splitlines()
    assert lines[-2] == "Keep Acme, and ask for a better price." and lines[-1].startswith("6 requests, ")
    assert result["tasks_output"][2]["pydantic"] == {"keep": True, "reason": "It is reliable."}
    assert sum(llm.paid().values()) == 6 and not llm.paid_twice()
