# SPDX-License-Identifier: Apache-2.0
"""docs/howto/langgraph-saver.md is one program, and it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import program_of
from tests.support.environment import ROOT, clean_environment

PAGE = ROOT / "docs/howto/langgraph-saver.md"


@pytest.mark.timeout(200)
def test_the_page(tmp_path: Path, redis_url: str) -> None:
    program = program_of(PAGE).replace("redis://localhost:6379", redis_url)
    assert program.count(redis_url) == 4
    (tmp_path / "page.py").write_text(program)
    command = [sys.executable, str(tmp_path / "page.py")]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_each_option_of_the_page_exists() -> None:
    from inspect import signature

    from nervenet.integrations.langgraph import NervenetSaver

    named = set(re.findall(r"`([a-z]+)=", PAGE.read_text()))
    assert named - {"config", "filter"} <= signature(NervenetSaver.from_url).parameters.keys()
