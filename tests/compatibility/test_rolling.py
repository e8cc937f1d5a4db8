# SPDX-License-Identifier: Apache-2.0
"""A mesh under load is upgraded one process at a time, and taken back again the other way round: nothing fails or repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compatibility.conftest import Build
from tests.recovery import rolling
from tests.support.mesh import ProcessMesh


@pytest.mark.long
async def test_an_exchange_of_releases_under_load_fails_and_repeats_nothing(
    tmp_path: Path, redis_url: str, etcd_url: str, old_and_new: tuple[Build, Build]
) -> None:
    upwards = not old_and_new[1]
    replaced = ("node", "agent") if upwards else ("agent", "node")
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        report = await rolling.roll(
            host,
            nodes=2,
            agents=2,
            at_once=16,
            order="before",
            pause=0.0,
            beat=0.2,
            replaced=replaced,
            builds=old_and_new,
        )
    assert report["failed"] == {}
    assert report["repeated_steps"] == {}
    assert report["exit_codes"] == {0: 4}
    assert report["workflows"] > 16
