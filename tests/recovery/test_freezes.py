# SPDX-License-Identifier: Apache-2.0
"""A node and its only agent stand still for longer than their leases and claims. The short form of `make freezes`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recovery.freezes import WITHIN, Cell, freeze

pytestmark = pytest.mark.long


async def test_everything_goes_on_after_a_node_and_its_agent_stood_still(
    tmp_path: Path, redis_url: str, etcd_url: str
) -> None:
    (one,) = await freeze(tmp_path, redis_url, etcd_url, [Cell(1, "both", 8.0)], rounds=1, parallel=1, seed=2)
    assert not one.wrong, f"seed {one.seed}: {one.cell}: {one.wrong}"
    assert one.late <= WITHIN, f"seed {one.seed}: {one.cell}: {one.late:.1f} s after the freeze's end"
