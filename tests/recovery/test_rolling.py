# SPDX-License-Identifier: Apache-2.0
"""Every node and agent is replaced in turn under load. (`make rolling` is the form that also counts what was slow.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recovery import rolling
from tests.support.mesh import ProcessMesh


@pytest.mark.long
async def test_a_rolling_restart_fails_and_repeats_nothing(tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        report = await rolling.roll(host, nodes=2, agents=1, at_once=16, order="before", pause=0.0, beat=0.2)
    assert report["failed"] == {}
    assert report["repeated_steps"] == {}
    assert report["exit_codes"] == {0: 3}
    assert report["workflows"] > 16
