# SPDX-License-Identifier: Apache-2.0
"""Where the repository is, how its programs are run, and the environment that a test gives them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.forked import can_fork, run_nervenet

ROOT = Path(__file__).parents[2]
"""The repository."""
NERVENET = [sys.executable, "-m", "nervenet"]
"""The command line, in the Python of this test."""
Result = subprocess.CompletedProcess[str]


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment of somebody who set nothing but these, with `nervenet` and the other programs of .venv in PATH.

    NERVENET_, OTEL_ and LICENCE_ variables of the developer's shell must not decide how a test ends.
    """
    names = [name for name in tuple(os.environ) if not name.startswith(("NERVENET_", "OTEL_", "LICENCE_"))]
    kept = {name: value for name in names if (value := os.environ.get(name)) is not None}  # pytest sets some meanwhile
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "COVERAGE_PROCESS_START": ""} | settings


def nervenet(
    *arguments: str, env: Mapping[str, str], cwd: Path = ROOT, stdin: str | None = None, within: float = 60
) -> Result:
    """Run `nervenet …` to its end; a traceback is a failure whatever was asked."""
    if can_fork(env):
        result = run_nervenet(arguments, stdin=stdin, cwd=cwd, env=env, timeout=within)
    else:
        command = [*NERVENET, *arguments]
        result = subprocess.run(command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=within)
    assert "Traceback" not in result.stderr, result.stderr
    return result


@contextmanager
def mute_server() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_running(pid: int) -> bool:
    """Whether that process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
