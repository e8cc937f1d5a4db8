# SPDX-License-Identifier: Apache-2.0
"""A script as a user runs it, and every process that comes of it, however deep: they inherit a mark in their environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.waiting import wait_until

LOOK_EVERY = 0.02


class Script:
    """Runs while the block does; a thread looks at its processes all the time. `meshes` is the most that were up at once."""

    def __init__(self, program: Path) -> None:
        self.meshes = 0
        self._program = program
        self._folder = program.parent.resolve() / "temporary"
        self._mark = f"SCRIPT_OF_A_TEST={uuid.uuid4().hex}"
        self._foreign: set[int] = set()
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        name, _, value = self._mark.partition("=")
        self._folder.mkdir()
        env, cwd = clean_environment(**{name: value, "TMPDIR": str(self._folder)}), self._program.parent
        self._process = Process([sys.executable, str(self._program)], cwd / "said.txt", env, cwd=cwd)
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()
        self._process.kill()
        for pid in self.processes():  # of a test that failed
            os.kill(pid, signal.SIGKILL)

    @property
    def said(self) -> str:
        return self._process.log

    def processes(self) -> dict[int, str]:
        """Those that are alive, with their command lines."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal() or (pid := int(folder.name)) in self._foreign:
                continue
            try:
                if not self._is_ours(pid):
                    if Path(f"/proc/{pid}/environ").read_bytes():  # else it is between fork and exec, or has just ended
                        self._foreign.add(pid)
                elif line := Path(f"/proc/{pid}/cmdline").read_bytes():  # a zombie has none
                    found[pid] = line.replace(b"\0", b" ").decode()
            except OSError:  # it has just ended, or is another user's
                continue
        return found

    def _is_ours(self, pid: int) -> bool:
        """By its environment; Valkey writes its title over that, but stands in a temporary folder of the script."""
        if self._mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return True
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(self._folder)

    def _look(self) -> None:
        """A server is started through a Python that then becomes it: only what has become one counts."""
        while not self._over.wait(LOOK_EVERY):
            programs = [Path(line.partition(" ")[0]).name for line in self.processes().values()]
            self.meshes = max(self.meshes, programs.count("etcd"))

    def kill(self) -> None:
        self._process.kill()

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it: to the script's group of processes."""
        os.killpg(self._process.pid, signal.SIGINT)

    def ends(self) -> int:
        """Its exit code, once it and everything that came of it is gone."""
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.logs()}") from None
        self.wait(lambda: not self.processes(), "left behind")
        return code

    def wait(self, true: Callable[[], object], what: str, within: float = 30) -> None:
        wait_until(true, what, within, self)

    def logs(self) -> str:
        return f"{self.processes()}\n{self.said}"
