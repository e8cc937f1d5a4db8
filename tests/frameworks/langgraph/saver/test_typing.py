# SPDX-License-Identifier: Apache-2.0
"""mypy and pyright, both strict, on a program of a user and on the modules of the saver."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import ROOT

HERE = Path(__file__).parent
PROGRAM = HERE / "user_program.py"
MODULES = sorted((ROOT / "python/nervenet/integrations/langgraph/saver").glob("*.py"))


def errors(checker: str, files: list[Path], folder: Path) -> list[tuple[Path, int]]:
    """Where a checker finds an error."""
    if checker == "mypy":
        command = ["mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, files)]
    else:
        settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": [str(file) for file in files]}
        settings["extraPaths"] = [str(ROOT / "python")]  # type: ignore[assignment]
        (folder / "pyrightconfig.json").write_text(json.dumps(settings))
        command = ["basedpyright", "-p", str(folder), "--pythonpath", sys.executable]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert "rror" in done.stdout or "Success" in done.stdout, done.stdout + done.stderr
    print(done.stdout)
    return sorted({(Path(file).resolve(), int(line)) for file, line in _FOUND.findall(done.stdout)})


_FOUND = re.compile(r"^\s*(\S+\.py):(\d+)(?::\d+)?(?: -|:) error", re.MULTILINE)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_program_of_a_user(checker: str, tmp_path: Path) -> None:
    lines = PROGRAM.read_text().splitlines()
    expected = [(PROGRAM, n) for n, line in enumerate(lines, 1) if line.endswith("# error")]
    assert errors(checker, [PROGRAM], tmp_path) == expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_modules(checker: str, tmp_path: Path) -> None:
    assert errors(checker, MODULES, tmp_path) == []
