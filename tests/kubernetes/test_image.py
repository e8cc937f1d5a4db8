# SPDX-License-Identifier: Apache-2.0
"""The stage of deploy/Dockerfile that makes what the image adds to its base, run twice without a container engine: the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root"),
    pytest.mark.timeout(900),
]


def stage() -> str:
    """ENV and RUN lines of the stage `build`, as one script."""
    text = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    lines = text.partition(" AS build\n")[2].partition("\nFROM ")[0].splitlines()
    script = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "ARG":
            script.append(f"export {rest}")
        elif word == "ENV":
            script.append("export " + re.sub(r"\$\{(\w+)\}", r'"$\1"', rest))
        elif word == "RUN":
            script.append(rest)
    return "\n".join(script)


def context(folder: Path) -> Path:
    """What .dockerignore lets through."""
    wanted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in wanted:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    return folder


def built(folder: Path) -> Path:
    """/opt/nervenet of one build."""
    (folder / "root").mkdir(parents=True)
    command = ["unshare", "--mount", "--propagation", "private", "bash", str(ROOT / "tests/kubernetes/build.sh")]
    command += [str(folder / "root"), str(context(folder / "context")), str(folder / "nervenet")]
    environment = os.environ | {"BASE_PYTHON": str(Path(sys.base_prefix).resolve())}
    ran = subprocess.run(
        command, input=stage(), env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "nervenet"


def digests(folder: Path) -> dict[str, str]:
    """Each file with its mode and what it holds."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_symlink():
            found[str(file.relative_to(folder))] = f"→ {file.readlink()}"
        elif file.is_file():
            text = f"{file.stat().st_mode:o} {hashlib.sha256(file.read_bytes()).hexdigest()}"
            found[str(file.relative_to(folder))] = text
    return found


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = digests(built(tmp_path / "one")), digests(built(tmp_path / "two"))
    assert {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)} == set()
    assert "bin/nervenet" in one and any(name.endswith(".pyc") for name in one)
    assert not any(name.startswith("bin/pip") for name in one), "nothing that installs"


def test_what_was_built_runs_without_being_written_to(tmp_path: Path) -> None:
    """Its bytecode is complete: a container with a read-only file system compiles nothing at its start."""
    folder = built(tmp_path)
    before = digests(folder)
    ran = subprocess.run(
        [folder / "bin/python", "-c", "import nervenet, nervenet.node.node, nervenet.http.server"], check=False
    )
    assert ran.returncode == 0 and digests(folder) == before
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"{size >> 20} MiB")
