# SPDX-License-Identifier: Apache-2.0
"""Idle tabs cost a node next to nothing."""

from __future__ import annotations

import pytest

from tests.http_door.tabs import APP, measured
from tests.support.mesh import ProcessMesh


@pytest.mark.long
async def test_fifty_idle_tabs_cost_less_than_a_twentieth_of_a_core(host: ProcessMesh) -> None:
    (node,) = host.up(host.node(APP, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"))
    idle, *with_tabs = (await measured(node, 50, 10)).values()
    assert [share for share in with_tabs if share - idle >= 0.05] == [], (idle, with_tabs)
