# SPDX-License-Identifier: Apache-2.0
"""docs/howto/langgraph.md is one program: it runs, and mypy and basedpyright find nothing in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import program_of
from tests.support.environment import ROOT, clean_environment

PAGE = ROOT / "docs/howto/langgraph.md"
CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--config-file=", "--python-executable", sys.executable],
    "basedpyright": ["-m", "basedpyright", "--level", "error", "--pythonpath", sys.executable],
}


STRICT = """{
    // LangGraph itself has parameters of unknown type and no stubs, which a strict check of its users reports.
    "typeCheckingMode": "strict", "pythonVersion": "3.11",
    "reportUnknownMemberType": false, "reportMissingTypeStubs": false
}"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("howto")
    (folder / "pyrightconfig.json").write_text(STRICT)
    page = folder / "page.py"
    page.write_text(program_of(PAGE), encoding="utf-8")
    return page


@pytest.mark.timeout(300)
def test_the_page_runs(program: Path) -> None:
    command = [sys.executable, program.name]
    done = subprocess.run(
        command, cwd=program.parent, env=clean_environment(), capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_page_is_typed(program: Path, checker: str) -> None:
    command = [sys.executable, *CHECKERS[checker], program.name]
    env = clean_environment(MYPYPATH=str(ROOT / "python"))
    done = subprocess.run(command, cwd=program.parent, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
