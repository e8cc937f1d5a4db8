# SPDX-License-Identifier: Apache-2.0
"""docs/howto/llm.md and examples/frameworks/llm.py do what they say, with the stand-in for the model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from nervenet import Resolution
from tests.docs.blocks import program_of
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.environment import ROOT, clean_environment
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

PAGE = ROOT / "docs/howto/llm.md"
EXAMPLE = ROOT / "examples/frameworks/llm.py"


def test_the_program_of_the_page(llm: StandIn, tmp_path: Path) -> None:
    llm.script(
        Rule(
            "Should I go to Oslo", tools=[ToolCall("forecast", {"city": "Oslo"}), ToolCall("trains", {"city": "Rome"})]
        ),
        Rule("8:05 to Rome", role="tool", anywhere="rain in Oslo", reply="Go to Rome."),
        Rule("Fill in the form from this: Go to Rome", json={"city": "Rome", "pack": ["hat"]}),
    )
    program = tmp_path / "page.py"
    program.write_text(program_of(PAGE), encoding="utf-8")
    env = clean_environment(**llm.environment)
    ran = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Go to Rome.")
    assert ran.stdout.rstrip().endswith("city='Rome' pack=['hat']")
    assert sum(llm.paid().values()) == 3 and not llm.paid_twice()


async def test_the_example(llm: StandIn, host: ProcessMesh) -> None:
    letter = "My order 1017 arrived broken. I want my money back."
    calls = [ToolCall("order_status", {"number": "1017"}), ToolCall("order_price", {"number": "1017"})]
    llm.script(
        Rule("refund: granted", role="user", tools=calls),
        Rule("cost 42 euros", role="tool", reply="You get 42 euros back."),
        Rule("money back", json={"topic": "refund", "order": "1017"}),
    )
    host.app = str(EXAMPLE)
    host.env |= llm.environment
    host.start(1, 1)
    env = host.env | {"NERVENET_ADDRESS": host.addresses}
    command = [sys.executable, str(EXAMPLE), "letter-1", letter]
    printing = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE)
    async with host.client() as client:

        async def asked() -> list[str]:
            return [question.id async for question in client.escalations()]

        (question,) = await until(asked, "a person is asked", 30, host)
        await client.resolve(question, Resolution.complete("granted"))
    printed, _ = await asyncio.wait_for(printing.communicate(), 60)
    assert printed.decode().endswith("You get 42 euros back.\n---\nYou get 42 euros back.\n")
    assert sum(llm.paid().values()) == 3 and not llm.paid_twice()
