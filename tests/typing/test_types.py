# SPDX-License-Identifier: Apache-2.0
"""What mypy and pyright infer of the public API, both strict, on the package as it is installed.

`programs/` are programs as users write them. In `types_ok.py` every inferred type is asserted, in `types_bad.py` each
line marked `# E` must be an error and no other line may be. pyright is basedpyright, the same checker in a wheel that
brings its Node along: pyright's own wheel fetches it from elsewhere at its first run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
GOOD = [*sorted(path.name for path in PROGRAMS.glob("p?_*.py")), "types_ok.py", "kit_examples.py"]
TOOLS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir"],
    "pyright": [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--project"],
}
PYRIGHT_SETTINGS = '{"typeCheckingMode": "strict", "pythonVersion": "3.11"}'

pytestmark = pytest.mark.xdist_group("typing")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With nothing else of this repository near them."""
    folder = tmp_path_factory.mktemp("programs")
    for path in PROGRAMS.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "pyrightconfig.json").write_text(PYRIGHT_SETTINGS)
    return folder


def check(tool: str, programs: Path, *files: str) -> tuple[int, str]:
    where = os.fspath(programs / (".mypy_cache" if tool == "mypy" else "pyrightconfig.json"))
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(
        [*TOOLS[tool], where, *files], cwd=programs, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_programs_and_inferred_types_hold(programs: Path, tool: str) -> None:
    assert (programs / "types_ok.py").read_text().count("assert_type(") == 36
    code, said = check(tool, programs, *GOOD)
    assert code == 0, said


@pytest.mark.parametrize("tool", TOOLS)
def test_each_mistake_is_found_and_nothing_else(programs: Path, tool: str) -> None:
    text = (programs / "types_bad.py").read_text().splitlines()
    marked = {number for number, line in enumerate(text, 1) if "# E" in line}
    assert len(marked) == 20
    _, said = check(tool, programs, "types_bad.py")
    found = {int(number) for number in re.findall(r"types_bad\.py:(\d+)(?::\d+)?(?: -)?:? error", said)}
    assert found == marked, said


def test_the_examples_of_the_test_kit_pass(programs: Path) -> None:
    shutil.copy(programs / "kit_examples.py", programs / "test_examples.py")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "test_examples.py"],
            cwd=programs, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        (programs / "test_examples.py").unlink()
    assert "5 passed" in done.stdout, done.stdout + done.stderr
