# SPDX-License-Identifier: Apache-2.0
"""Runs `async def` handlers, in the asyncio task of their attempt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nervenet.agent.executors.common import Resources, conclude, prepare
from nervenet.agent.verdicts import answered, raised
from nervenet.codecs import PLAIN, Codecs
from nervenet.records import Failure
from nervenet.streams.tasks.attempt import OutcomeEntry

if TYPE_CHECKING:
    from nervenet.agent.running import Running
    from nervenet.clock import Clock


class LoopExecutor:
    def __init__(self, resources: Resources, clock: Clock, payload_limit: int, codecs: Codecs = PLAIN) -> None:
        self._codecs = codecs
        self._resources = resources
        self._clock = clock
        self._limit = payload_limit

    async def start(self) -> None:
        """Nothing to start: the loop runs already."""

    async def close(self) -> None:
        """Nothing to close."""

    async def run(self, running: Running) -> OutcomeEntry | None:
        agent, limit, codecs = running.agent, self._limit, self._codecs
        plain_limit = codecs.plain_limit(limit)
        prepared = prepare(
            agent,
            running.envelope,
            running,
            self._resources.of(agent),
            started_ms=running.started_ms,
            checkpoint=running.restored,
            payload_limit=limit,
            codecs=codecs,
        )
        if isinstance(prepared, Failure):
            return conclude(running, prepared, self._clock, None, codecs)
        arguments, task = prepared
        me = asyncio.current_task()
        assert me is not None
        assert agent.fn is not None
        try:
            if running.stop is not None:
                raise asyncio.CancelledError
            running.interrupt = me.cancel
            value: Any = await agent.fn(*arguments)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and running.stop is None and me.cancelling():
                raise  # the process ends, not the attempt
            verdict = raised(agent, error, plain_limit, self._clock.now_ms())
        else:
            verdict = answered(agent, value, plain_limit)
        running.interrupt = None
        running.ended = True
        return conclude(running, verdict, self._clock, task, codecs, limit)
