# SPDX-License-Identifier: Apache-2.0
"""Nodes, agents and clients as the processes they are, each with its own OpenTelemetry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
APP = "tests.telemetry.app"
DEADLINE = 30.0


class Processes:
    """A context: whatever was started in it is over when it is left."""

    def __init__(self, folder: Path, redis: str, etcd: str, namespace: str, **environment: str) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "NERVENET_"))}
        own = {
            "NERVENET_REDIS": redis,
            "NERVENET_ETCD": etcd,
            "NERVENET_NAMESPACE": namespace,
            "TRACED_DIR": str(folder),
            "PYTHONPATH": str(ROOT),
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        self.environment = kept | own | environment
        self.addresses: list[str] = []
        self._running: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()

    def node(self) -> subprocess.Popen[bytes]:
        process, facts = self._serve("node", "--listen", "127.0.0.1:0")
        self.addresses.append(facts["address"])
        self.environment["NERVENET_ADDRESS"] = ",".join(self.addresses)
        return process

    def agent(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self._serve("agent", *arguments)[0]

    def call(self, *arguments: str, **environment: str) -> None:
        """Run the caller to its end."""
        command = [sys.executable, "-m", "tests.telemetry.caller", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment | environment, capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stderr

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        assert process.wait(15) == 0

    def _serve(self, role: str, *arguments: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        ready = self.folder / f"{role}-{len(self._running)}.json"
        log = self._stack.enter_context((self.folder / f"{role}-{len(self._running)}.log").open("wb"))
        command = [sys.executable, "-m", "nervenet", role, APP, "--ready-file", str(ready), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        self._running.append(process)
        end = time.monotonic() + DEADLINE
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < end, Path(log.name).read_text()
            time.sleep(0.02)
        return process, json.loads(ready.read_text())
