# SPDX-License-Identifier: Apache-2.0
"""A mesh that no program of ours has started or looks after, and any of its processes killed by pid: plain shell."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from nervenet.dev.servers import free_port
from tests.support.environment import clean_environment

SCRIPT = Path(__file__).with_name("by_hand.sh")


@pytest.mark.long
@pytest.mark.parametrize(("workflows", "kills"), [(8, 5)])
def test_three_nodes_and_four_agents_by_hand_any_of_them_killed(
    workflows: int, kills: int, tmp_path: Path, redis_url: str, etcd_url: str, namespace: str
) -> None:
    own = {"NERVENET_REDIS": redis_url, "NERVENET_ETCD": etcd_url, "NERVENET_NAMESPACE": namespace}
    ports = ",".join(str(free_port()) for _ in range(3))
    seed = str(secrets.randbelow(32_768))
    ran = subprocess.run(
        [str(SCRIPT), ports, str(workflows), str(kills), seed],
        cwd=tmp_path,
        env=clean_environment(**own),
        capture_output=True,
        text=True,
        check=False,
    )
    logs = "".join(f"── {file.name}\n{file.read_text()}" for file in sorted(tmp_path.glob("*.log")))
    assert ran.returncode == 0, f"seed {seed}\n{ran.stdout}{ran.stderr}{logs}"
    told = f"{workflows} of {workflows} workflows accepted, {workflows} ended right, {kills} processes killed"
    assert told in ran.stdout
