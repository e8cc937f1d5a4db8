# SPDX-License-Identifier: Apache-2.0
"""What mypy and pyright infer of the public API, both strict, on the package as people install it.

The wheel is built here and installed into an environment of its own, so what the checkers see is what its `py.typed`
promises, not this checkout. In `types_ok.py` every inferred type is asserted, in `types_bad.py` each line marked `# E`
must be an error; no other line may be, here or in `examples/programs`. pyright is basedpyright, the same checker in a
wheel that brings its Node along: pyright's own wheel fetches it from elsewhere at its first run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = [
    path for folder in ("examples/programs", "tests/typing/programs") for path in sorted((ROOT / folder).glob("*.py"))
]
TOOLS = {
    # The cache knows what the wheel depends on, most of the work; the wheel itself is new each time.
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / 'build/typing'}"],
    "pyright": [sys.executable, "-m", "basedpyright"],
}
PYRIGHT_SETTINGS = '{"typeCheckingMode": "strict", "pythonVersion": "3.11"}'
ERROR = re.compile(r"(\w+\.py):(\d+)(?::\d+)?(?: -)?:? error", re.MULTILINE)

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("typing")]


class Desk(NamedTuple):
    """A user's: the programs in one folder, and a Python that has the wheel beside what it depends on."""

    folder: Path
    python: Path
    package: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
        return subprocess.run(command, cwd=self.folder, env=kept, capture_output=True, text=True, check=False)

    def check(self, tool: str, *files: str) -> str:
        flag = "--python-executable" if tool == "mypy" else "--pythonpath"
        done = self.run(*TOOLS[tool], flag, self.python, *files)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("typing")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")

    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv/bin/python"
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv")}))
    # What the wheel depends on is here already. Of a folder that is named in a .pth no .pth is read: the checkout,
    # which is installed here as a link, stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    install = ["install", "--no-deps", "--no-compile", str(wheel)]
    subprocess.run([*pip, "--python", str(python), *install], check=True, capture_output=True)

    desk = Desk(folder / "programs", python, site / "nervenet")
    desk.folder.mkdir()
    for program in PROGRAMS:
        shutil.copy(program, desk.folder)
    (desk.folder / "pyrightconfig.json").write_text(PYRIGHT_SETTINGS)
    return desk


def marked(program: Path) -> set[tuple[str, int]]:
    lines = program.read_text(encoding="utf-8").splitlines()
    return {(program.name, number) for number, line in enumerate(lines, 1) if "# E" in line}


def test_what_is_checked_is_what_was_installed(desk: Desk) -> None:
    said = desk.run(desk.python, "-c", "import nervenet; print(nervenet.__file__)").stdout
    assert said.strip() == str(desk.package / "__init__.py")
    (desk.folder / "one.py").write_text("from nervenet import Mesh\n\nprint(Mesh)\n")
    (desk.package / "py.typed").rename(desk.package / "py.untyped")
    try:
        for tool in TOOLS:
            assert ("one.py", "1") in ERROR.findall(said := desk.check(tool, "one.py")), said
    finally:
        (desk.package / "py.untyped").rename(desk.package / "py.typed")


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_programs_and_inferred_types_hold_and_each_mistake_is_found(desk: Desk, tool: str) -> None:
    said = desk.check(tool, *(program.name for program in PROGRAMS))
    found = {(name, int(line)) for name, line in ERROR.findall(said)}
    assert found == set().union(*map(marked, PROGRAMS)), said


def test_there_are_36_types_and_20_mistakes() -> None:
    by_name = {program.name: program for program in PROGRAMS}
    assert by_name["types_ok.py"].read_text(encoding="utf-8").count("assert_type(") == 36
    assert len(marked(by_name["types_bad.py"])) == 20
    assert {"hello.py", "documents.py", "llm.py", "saga.py", "scans.py"} <= by_name.keys()


def test_the_examples_of_the_test_kit_pass(desk: Desk) -> None:
    ours = ["-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "kit_examples.py"]
    done = desk.run(desk.python, "-m", "pytest", *ours)
    assert "5 passed" in done.stdout, done.stdout + done.stderr
