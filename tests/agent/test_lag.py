# SPDX-License-Identifier: Apache-2.0
"""A handler that blocks the event loop is found, with its line, while it blocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from nervenet.agent.lag import LoopLag
from nervenet.clock import SYSTEM
from nervenet.timing import AGENT_LAG_LIMIT


async def test_the_line_that_holds_the_loop_is_told_while_it_does(caplog: pytest.LogCaptureFixture) -> None:
    with LoopLag(SYSTEM) as lag:
        time.sleep(AGENT_LAG_LIMIT + 1.5)  # the line at fault
        line = test_the_line_that_holds_the_loop_is_told_while_it_does.__code__.co_firstlineno + 2
        (told,) = [record.getMessage() for record in caplog.records]
        assert "has been blocked for" in told and f"at test_lag.py:{line}" in told
        async with asyncio.timeout(10):
            while len(caplog.records) < 2:
                await asyncio.sleep(0.05)
        assert "runs again" in caplog.records[1].getMessage() and lag.longest > AGENT_LAG_LIMIT


async def test_a_loop_that_turns_is_left_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    with LoopLag(SYSTEM) as lag:
        for _ in range(30):
            await asyncio.sleep(0.02)
    assert not caplog.records and lag.longest == 0.0
