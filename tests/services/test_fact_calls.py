# SPDX-License-Identifier: Apache-2.0
"""A fact for a workflow that begins again while the fact is on its way: found by the fuzzer, it was an INTERNAL."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nervenet.errors import Unavailable
from nervenet.node.services.fact_calls import RUNS_MISSED, FactCalls
from nervenet.records import Cancel, State
from nervenet.streams.answers import Appended


class Restarting:
    """The journal of a workflow that begins again so many times before a fact reaches it."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.asked: list[int] = []

    async def record(self, workflow_id: str, run: int, name: str, body: Any, actor: str) -> Appended:
        self.asked.append(run)
        late = len(self.asked) <= self._times
        return Appended("stale" if late else "new", b"" if late else b"5-2", "n", run + late, State.RUNNING)


def calls(facts: Restarting) -> FactCalls:
    nothing = cast("Any", None)
    hosted = cast("Any", SimpleNamespace(find=lambda _: None))
    return FactCalls(nothing, hosted, cast("Any", facts), nothing, nothing)


async def test_a_fact_follows_the_workflow_from_run_to_run() -> None:
    facts = Restarting(4)
    answer = await calls(facts)._record("w", "cancel", Cancel("", "ada"), "ada")
    assert (answer.status, facts.asked) == ("new", [1, 2, 3, 4, 5])


async def test_whose_workflow_begins_again_and_again_is_told_to_send_it_again() -> None:
    with pytest.raises(Unavailable, match="send it again"):
        await calls(Restarting(RUNS_MISSED + 1))._record("w", "signal:1", Cancel("", "ada"), "ada")
