# SPDX-License-Identifier: Apache-2.0
"""A page that stays open does not grow. The mesh is one of its own: it fills with workflows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, CDPSession

from tests.dashboard import desk
from tests.dashboard.conftest import Visitor, in_a_loop_of_its_own
from tests.dashboard.states import DESK, open_desk
from tests.support.mesh import ProcessMesh

MINUTES = 10 if os.environ.get("LONG") else 2
WARM_MS = 15_000
MOST_GROWTH = 2_500_000
"""Bytes: V8 keeps compiled code and caches, which grow at first."""


def size(session: CDPSession) -> tuple[int, int]:
    """Bytes in use after a collection, and elements of the document."""
    session.send("HeapProfiler.collectGarbage")
    heap: int = session.send("Runtime.getHeapUsage")["usedSize"]
    nodes: int = session.send("Memory.getDOMCounters")["nodes"]
    return heap, nodes


@pytest.mark.timeout(MINUTES * 60 + 300)
def test_minutes_of_live_updates_do_not_grow_the_page(
    browser: Browser, redis_url: str, etcd_url: str, tmp_path: Path
) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=DESK) as mesh:
        found = open_desk(mesh, nodes=1, agents=1)
        visitor = Visitor(browser, found.address)
        page = visitor.open("overview")
        session = visitor.context.new_cdp_session(page)

        async def work(number: int) -> None:
            async with mesh.client() as client:
                for each in range(20):
                    await client.start(desk.tally, 2, id=f"busy-{number}-{each}")

        def live(first: int, seconds: int) -> None:
            for number in range(first, first + seconds // 5):
                in_a_loop_of_its_own(lambda number=number: work(number))  # type: ignore[misc]
                page.wait_for_timeout(5000)
                if number % 6 == 5:
                    for place in ("workflows", "capabilities", "workflows/busy-0-1", "overview"):
                        visitor.open(place)
                        page.wait_for_timeout(300)

        live(0, 35)  # warm: each view was open once, and its lists are full
        page.wait_for_timeout(WARM_MS)
        heap, nodes = size(session)
        live(100, MINUTES * 60)
        page.wait_for_timeout(WARM_MS)
        grown = size(session)
        print(f"heap {heap} -> {grown[0]} bytes, {nodes} -> {grown[1]} nodes")
        assert grown[0] - heap < MOST_GROWTH, f"the heap grew from {heap} to {grown[0]} bytes"
        assert grown[1] < nodes * 2 + 2000, f"from {nodes} to {grown[1]} nodes"
        assert visitor.problems == []
        visitor.context.close()
