# SPDX-License-Identifier: Apache-2.0
"""Ids: readable, sortable where that matters, and decided by the caller's clock and chance."""

from __future__ import annotations

import re
import time
import uuid

from nervenet.clock import SYSTEM, Clock, new_id, new_workflow_id, uuid7


class Still(Clock):
    def now_ms(self) -> int:
        return 0x0190_0000_0000


def zeros(count: int) -> bytes:
    return bytes(count)


def test_node_and_agent_ids_are_a_prefix_and_eight_characters() -> None:
    assert re.fullmatch(r"n-[a-z2-7]{8}", new_id("n"))
    assert new_id("summarize", zeros) == "summarize-aaaaaaaa"
    assert len({new_id("n") for _ in range(1000)}) == 1000


def test_workflow_ids_carry_their_definition_and_a_uuid_of_version_7() -> None:
    assert new_workflow_id("review", Still(), zeros) == "review-01900000-0000-7000-8000-000000000000"
    made = uuid.UUID(uuid7(5))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")


def test_later_uuids_sort_later() -> None:
    made = [uuid7(ms) for ms in range(1_700_000_000_000, 1_700_000_000_100)]
    assert made == sorted(made)


def test_the_system_clock_counts_milliseconds_since_the_epoch() -> None:
    assert abs(SYSTEM.now_ms() - time.time() * 1000) < 1000
    assert SYSTEM.monotonic() <= SYSTEM.monotonic()
