# SPDX-License-Identifier: Apache-2.0
"""docs/howto/crewai.md is one program that runs, with the stand-in for the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import program_of
from tests.frameworks.llm_server import Rule, StandIn
from tests.support.environment import ROOT, clean_environment

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
