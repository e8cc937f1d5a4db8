# SPDX-License-Identifier: Apache-2.0
"""Processes that are there to be killed, each by its own pid; they die with the thread that forked them, our main one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TIE = """
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """A process with a log file."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        tie = [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid())] if sys.platform == "linux" else []
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*tie, *command],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is for the driver
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, signum: int) -> None:
        if self.alive:
            self.process.send_signal(signum)

    def kill(self) -> None:
        """SIGKILL, which a stopped process dies of too; waits for the end."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Role(Child):
    """`nervenet node` or `nervenet agent`, started as anybody would; its id is known when it is ready."""

    def __init__(self, kind: str, arguments: Sequence[str], stem: Path, env: Mapping[str, str]) -> None:
        self.kind, self.id = kind, ""
        self._ready = stem.with_suffix(".json")
        command = [sys.executable, "-m", "nervenet", kind, *arguments, "--ready-file", str(self._ready)]
        super().__init__(command, stem.with_suffix(".log"), env)

    async def ready(self, within: float = 30.0) -> None:
        deadline = time.monotonic() + within
        while not self._ready.exists():
            if not self.alive or time.monotonic() > deadline:
                raise RuntimeError(f"a {self.kind} did not get ready:\n{self.tail()}")
            await asyncio.sleep(0.02)
        self.id = str(json.loads(self._ready.read_text())["id"])
