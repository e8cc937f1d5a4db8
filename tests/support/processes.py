# SPDX-License-Identifier: Apache-2.0
"""Processes with a log file, which die with the thread that started them, also when that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from nervenet.dev.servers import tied
from tests.support.environment import NERVENET, ROOT
from tests.support.forked import ForkedProcess, can_fork, start_nervenet
from tests.support.waiting import until, wait_until

READY_WITHIN = 60.0


class Process:
    """A process that is running as soon as the object exists. Its output goes to the end of the file `log_file`."""

    def __init__(
        self, command: Sequence[str], log_file: Path, env: Mapping[str, str] | None = None, *, cwd: Path = ROOT
    ) -> None:
        self.log_file = log_file
        self.process: subprocess.Popen[bytes] | ForkedProcess
        with log_file.open("ab") as log:
            if [*command[: len(NERVENET)]] == NERVENET and can_fork(env):
                with Path(os.devnull).open() as null:
                    files = {"stdin": null.fileno(), "stdout": log.fileno(), "stderr": log.fileno()}
                    self.process = start_nervenet(command[len(NERVENET) :], **files, cwd=cwd, env=env)
                return
            self.process = subprocess.Popen(
                tied(command),
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is for the test
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def logs(self) -> str:
        """The end of the log, for a message."""
        return f"── {self.log_file.name}\n{self.log[-3000:]}"

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send a signal; wait for the end if it is SIGKILL. A process that has ended takes it in silence."""
        if self.alive:
            self.process.send_signal(signum)
        if signum == signal.SIGKILL:
            self.process.wait()

    def wait(self, within: float = 20) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(within)


class NervenetProcess(Process):
    """`nervenet node APP …` or `nervenet agent APP …`. Its id and address are known once it is ready."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], stem: Path) -> None:
        self.kind = command[0]
        self._ready_file = stem.with_suffix(".json")
        self._facts: dict[str, Any] = {}
        super().__init__([*NERVENET, *command, "--ready-file", str(self._ready_file)], stem.with_suffix(".log"), env)

    @property
    def is_ready(self) -> bool:
        """Whether it serves, or did before it ended."""
        return bool(self._facts) or self._ready_file.exists()

    @property
    def was_awaited(self) -> bool:
        """Whether the test has waited until it was ready."""
        return bool(self._facts)

    @property
    def id(self) -> str:
        return str(self._facts["id"])

    @property
    def address(self) -> str:
        return str(self._facts["address"])

    @property
    def http(self) -> str:
        """Where it serves HTTP."""
        return str(self._facts["http"])

    @property
    def metrics(self) -> str:
        """Where it shows its metrics."""
        return str(self._facts["metrics"])

    @property
    def scaler(self) -> str:
        """Where it answers KEDA."""
        return str(self._facts["scaler"])

    def ready(self, within: float = READY_WITHIN) -> Self:
        """Wait until it serves. Blocks.

        Raises:
            AssertionError: it ended, or is not ready in time; with the end of its log.
        """
        wait_until(self._ready_or_failed, f"a {self.kind} is ready", within, self)
        return self

    async def until_ready(self, within: float = READY_WITHIN) -> Self:
        """The same beside the event loop."""
        await until(self._ready_or_failed, f"a {self.kind} is ready", within, self)
        return self

    def _ready_or_failed(self) -> bool:
        """Read the ready file once; it is gone when the process has left in order."""
        if not self._ready_file.exists():
            assert self.alive, f"a {self.kind} ended with {self.process.returncode}\n{self.logs()}"
            return False
        self._facts = json.loads(self._ready_file.read_text())
        return True
