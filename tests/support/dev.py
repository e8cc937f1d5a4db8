# SPDX-License-Identifier: Apache-2.0
"""A `nervenet dev`: real processes, ready when the block begins, gone when it ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.environment import NERVENET, Result, clean_environment, nervenet
from tests.support.waiting import wait_until


class Dev:
    """`nervenet dev APP --port 0 FLAGS` in `folder`, so that `.nervenet` is there too."""

    def __init__(self, folder: Path, source: str, *flags: str, app: str = "app.py") -> None:
        self.folder = folder
        self.app = folder / app
        self.app.write_text(source)
        self.ready_file = folder / "ready.json"
        self.log = folder / "dev.log"
        self.environment = clean_environment()
        self._command = [*NERVENET, "dev", app, "--port", "0", "--ready-file", str(self.ready_file), *flags]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    @property
    def address(self) -> str:
        return str(self.facts["grpc"][0])

    def logs(self) -> str:
        return self.log.read_text()

    def start(self) -> Self:
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wait_for(self.ready_file.exists, "ready", within=120)  # seven processes, on a busy machine
        return self

    def wait_for(self, condition: Callable[[], Any], what: str, within: float = 30) -> None:
        """Wait until it holds; fail at once, with the log, if the mesh has ended."""

        def holds() -> Any:
            assert self._process is not None
            found, code = condition(), self._process.poll()
            assert found or code is None, f"dev ended with {code} before {what}:\n{self.logs()}"
            return found

        wait_until(holds, what, within, self)

    def kill(self, signum: int = signal.SIGKILL) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def wait(self, within: float = 30) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return self._process.wait(within)

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Another `nervenet` that talks to this mesh."""
        env = self.environment | {"NERVENET_ADDRESS": self.address}
        return nervenet(*arguments, env=env, cwd=self.folder, stdin=stdin)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill(signal.SIGTERM)
            try:
                self.wait(15)
            finally:
                self._process.kill()
                self._process.wait()
