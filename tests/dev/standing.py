# SPDX-License-Identifier: Apache-2.0
"""A `nervenet dev` as a value for tests: real processes, ready when it is entered, gone when it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NERVENET = [sys.executable, "-m", "nervenet"]


class Dev:
    """`folder` is its working directory, so `.nervenet` lies there; `flags` go behind `dev APP --port 0`."""

    def __init__(self, folder: Path, source: str, *flags: str, app: str = "app.py") -> None:
        self.folder = folder
        self.app = folder / app
        self.app.write_text(source)
        self.ready_file = folder / "ready.json"
        self.log = folder / "dev.log"
        self._command = [*NERVENET, "dev", app, "--port", "0", "--ready-file", str(self.ready_file), *flags]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NERVENET_", "OTEL_"))}
        return kept | {"COVERAGE_PROCESS_START": ""}

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    @property
    def address(self) -> str:
        return str(self.facts["grpc"][0])

    def start(self) -> Self:
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wait_for(self.ready_file.exists, "ready", within=120)  # seven processes, on a busy machine
        return self

    def wait_for(self, condition: Any, what: str, within: float = 30) -> None:
        """Look until it holds; a mesh that ended meanwhile, or never gets there, fails with its log."""
        assert self._process is not None
        deadline = time.monotonic() + within
        while not condition():
            ended = self._process.poll()
            assert ended is None or what == "over", f"dev ended with {ended} before {what}:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"not {what} within {within} s:\n{self.log.read_text()}"
            time.sleep(0.02)

    def send(self, signum: int) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def over(self, within: float = 30) -> int:
        assert self._process is not None
        return self._process.wait(within)

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Another `nervenet` that talks to this mesh."""
        return subprocess.run(
            [*NERVENET, *arguments],
            cwd=self.folder,
            env=self.environment | {"NERVENET_ADDRESS": self.address},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGTERM)
            try:
                self.over(15)
            finally:
                self._process.kill()
                self._process.wait()


def alive(pid: int) -> bool:
    """Whether that process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
