# SPDX-License-Identifier: Apache-2.0
"""Environments for what is measured beside nervenet: each has a lock, requirements/bench-NAME.txt, and is installed once.

    python = environment("celery")        # build/environments/celery/bin/python; Missing says why there is none

nervenet itself runs in .venv. A framework has an environment of its own, so that it gets the versions that it wants.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from processes import HOME

PYTHONS: Final = ("3.11", "3.13")
"""Oldest and newest Python for which all of the frameworks have wheels."""
FOLDER: Final = Path(os.environ.get("BENCH_ENVIRONMENTS", HOME / "build/environments"))
WITH_NERVENET: Final = ("langgraph",)
REASON_CHARACTERS: Final = 300


class Missing(Exception):
    """Something that a system needs is not on this machine and cannot be installed. The message says what and why."""


def environment(name: str) -> Path:
    """The Python of an environment, which is installed if it is not there or older than its lock."""
    folder, lock = FOLDER / name, HOME / "requirements" / f"bench-{name}.txt"
    ready = folder / ".ready"
    if not (ready.exists() and ready.stat().st_mtime > lock.stat().st_mtime):
        print(f"Installing what {lock.relative_to(HOME)} names into {folder} (once).", file=sys.stderr)
        run([str(HOME / "tools/venv"), str(folder), *PYTHONS])
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile", "--use-pep517"]
        run([*pip, "--require-hashes", "-r", str(lock)])
        if name in WITH_NERVENET:
            run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(HOME)])
        ready.touch()
    return folder / "bin/python"


def npm_program(folder: Path, pattern: str) -> Path:
    """A program that a package of npm has, installed into build/environments as package-lock.json says, without scripts of packages."""
    if not (npm := shutil.which("npm")):
        raise Missing("npm is not installed")
    target = FOLDER / folder.name
    if not (target / ".ready").exists():
        print(f"Installing what {folder.relative_to(HOME)}/package-lock.json names (once).", file=sys.stderr)
        target.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, target)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(target)])
        (target / ".ready").touch()
    found = sorted(target.glob(f"node_modules/{pattern}"))
    if not found:
        raise Missing("npm has no such program for this kind of machine")
    return found[0]


def version(python: Path, *distributions: str) -> str:
    """The installed versions, with their names if there are several."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    found = subprocess.run([python, "-c", code, *distributions], capture_output=True, text=True, check=True)
    numbers = found.stdout.split()
    if len(numbers) == 1:
        return numbers[0]
    return ", ".join(f"{name} {number}" for name, number in zip(distributions, numbers, strict=True))


def run(command: list[str]) -> None:
    """Run a step of an installation."""
    env = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"installation failed: {' '.join(lines[-2:])[-REASON_CHARACTERS:]}")
