# SPDX-License-Identifier: Apache-2.0
"""Nodes, agents and clients as the processes they are, each with its own OpenTelemetry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh


class TracedMesh(ProcessMesh):
    """Processes that export their spans soon, to the collector that `**environment` names."""

    def __init__(self, folder: Path, redis: str, etcd: str, namespace: str, **environment: str) -> None:
        own = {"TRACED_DIR": str(folder), "PYTHONPATH": str(ROOT), "OTEL_BSP_SCHEDULE_DELAY": "100"}
        app = "tests.telemetry.app"
        super().__init__(folder, redis, etcd, app=app, namespace=namespace, **own, **environment)

    @property
    def environment(self) -> dict[str, str]:
        """Of a client."""
        return self.env | {"NERVENET_ADDRESS": self.addresses}

    def call(self, *arguments: str, **environment: str) -> None:
        """Run the caller to its end."""
        command = [sys.executable, "-m", "tests.telemetry.caller", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment | environment, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
