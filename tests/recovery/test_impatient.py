# SPDX-License-Identifier: Apache-2.0
"""Callers who give up: whatever exists ends. The short form of `python -m tests.recovery.impatient`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recovery.impatient import APP, impatience
from tests.support.mesh import ProcessMesh

pytestmark = pytest.mark.long


async def test_every_workflow_whose_caller_gave_up_ends(tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=APP) as host:
        host.start(2, 1, "--name", "nods")
        tried = await impatience(host, calls=250, waiting=25, seed=1)
    assert not tried.standing, tried.line
    assert tried.states["SUCCEEDED"] + tried.states["CANCELED"] > 25, f"too few of them exist: {tried.line}"
    assert tried.calls["StartWorkflow DEADLINE_EXCEEDED"] > 25, f"too few gave up: {tried.line}"
