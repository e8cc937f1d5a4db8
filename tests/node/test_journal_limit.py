# SPDX-License-Identifier: Apache-2.0
"""A journal that grows: one warning, then the end. At what length is decided without one."""

from __future__ import annotations

import logging

import pytest

from nervenet.node.workflows.journal_limit import weigh_journal


@pytest.mark.parametrize("limit", [100, 101, 10_001])  # eight tenths of the others are no whole number
def test_the_owner_is_warned_once_and_the_run_ends_at_the_limit(limit: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "nervenet")
    reasons = [weigh_journal("w", entries, limit) for entries in range(limit // 2, limit + 3)]
    first = next(i for i, reason in enumerate(reasons) if reason is not None)
    assert limit // 2 + first == limit
    assert all(reasons[first:])
    assert f"has {limit} entries, the limit is {limit} (NERVENET_JOURNAL_LIMIT)" in str(reasons[first])
    assert [record.getMessage() for record in caplog.records] == [
        f"w: its journal has {int(limit * 0.8)} entries and must end at {limit}: "
        "ctx.continue_as_new(...) begins a fresh one"
    ]
