# SPDX-License-Identifier: Apache-2.0
"""The short form of `make misbehaving`: workflow code that loops, blocks and exits costs the good workflows only time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recovery import misbehaving


@pytest.mark.long
@pytest.mark.timeout(300)  # beside others on two cores the nodes that it kills take their time to come back
async def test_bad_workflows_are_blocked_with_their_line_and_all_good_ones_end(tmp_path: Path) -> None:
    report = await misbehaving.torture(30, tmp_path, stall=6)
    print(misbehaving.line(report))
    assert misbehaving.violations(report) == []


def test_a_wrong_result_a_wrong_line_and_a_death_too_many_are_violations() -> None:
    blocked = {name: {"where": "here", "wanted": ["here"]} for name in misbehaving.BAD}
    right = {"wrong": [], "blocked": blocked, "nodes_died": 3}
    assert misbehaving.violations(right) == []
    assert len(misbehaving.violations(right | {"wrong": ["good-1: 7"]})) == 1
    assert len(misbehaving.violations(right | {"nodes_died": 4})) == 1
    elsewhere = blocked | {"exits": {"where": "", "wanted": ["here"]}}
    assert len(misbehaving.violations(right | {"blocked": elsewhere})) == 1
