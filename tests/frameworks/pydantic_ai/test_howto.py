# SPDX-License-Identifier: Apache-2.0
"""docs/howto/pydantic-ai.md and examples/frameworks/help_desk_pydantic_ai.py do what they say, with the stand-in for the model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from nervenet import Resolution
from tests.docs.blocks import program_of
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.environment import ROOT, clean_environment
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)
DECISION = [ToolCall("final_result", {"order": "7", "euros": 42})]


def test_the_program_of_the_page(llm: StandIn, tmp_path: Path) -> None:
    llm.script(
        Rule("Order 7", role="user", tools=[ToolCall("price", {"order": "7"}), ToolCall("refund", {"order": "7"})]),
        Rule("", role="tool", anywhere="order 7 of Bees cost 42 euros", tools=DECISION),
    )
    program = tmp_path / "page.py"
    program.write_text(program_of(ROOT / "docs/howto/pydantic-ai.md"), encoding="utf-8")
    env = clean_environment(**llm.environment)
    command = [sys.executable, str(program)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Run refund(order='7')?\norder='7' euros=42\n"
    assert sum(llm.paid().values()) == 2 and not llm.paid_twice()


async def test_the_example(llm: StandIn, tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    letter = "My order 1017 arrived broken. I want my money back."
    number = {"number": "1017"}
    llm.script(
        Rule(
            "money back",
            role="user",
            tools=[ToolCall(one, number) for one in ("order_status", "order_price", "refund")],
        ),
        Rule("", role="tool", tools=[ToolCall("final_result", {"text": "Here it is.", "refunded_euros": 42})]),
    )
    app = ROOT / "examples/frameworks/help_desk_pydantic_ai.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=str(app), **llm.environment) as host:
        host.start(1, 1)
        env = host.env | {"NERVENET_ADDRESS": host.addresses}
        command = [sys.executable, str(app), "letter-1", letter]
        printing = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE)
        async with host.client() as client:

            async def asked() -> list[str]:
                return [question.id async for question in client.escalations()]

            (question,) = await until(asked, "a person is asked", 90, host)
            await client.resolve(question, Resolution.complete("approve"))
        printed, _ = await asyncio.wait_for(printing.communicate(), 90)
    assert printed.decode().endswith("Here it is. (42 euros)\n")
    assert "desk-orders: done" in printed.decode() and "a person is asked" in printed.decode()
    assert sum(llm.paid().values()) == 2 and not llm.paid_twice()
