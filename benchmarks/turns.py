# SPDX-License-Identifier: Apache-2.0
"""How much CPU single turns of an event loop take: during one turn a node does nothing else, no heartbeat and no other workflow.

A timer comes at every millisecond, and the CPU that the thread has used since the timer before is counted: what a longer
part of the work takes, others wait. CPU and not time, so that other work on the machine counts little. A second thread looks
for what runs during a long turn.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvloop
from roles import serve

from nervenet import Mesh
from nervenet.process import run_node

TICK = 0.001
LONG = 0.015
"""Seconds after which a turn is long enough to look at what runs."""
LOOK_EVERY = 0.003
DEPTH = 7


class TurnMeter:
    """Measures the event loop that this process makes next. `take` tells the longest turn since it was asked last."""

    def __init__(self) -> None:
        self._longest = self._last = self._longest_gc = self._gc_began = 0.0
        self._thread = threading.get_ident()
        self._turn_began = 0.0
        self._seen: Counter[str] = Counter()
        self._over: list[float] = []
        gc.callbacks.append(self._collected)
        threading.Thread(target=self._look, daemon=True).start()

    def install(self) -> None:
        """Have uvloop's next loop measured."""
        make = uvloop.new_event_loop

        def made() -> Any:
            loop = make()
            loop.call_soon(self._tick, loop)
            return loop

        uvloop.new_event_loop = made

    def take(self) -> dict[str, Any]:
        told = {
            "longest_ms": self._longest * 1e3,
            "gc_ms": self._longest_gc * 1e3,
            "over_20_ms": [round(each * 1e3) for each in sorted(self._over, reverse=True)[:5]],
            "seen": self._seen.most_common(4),
        }
        self._longest = self._longest_gc = 0.0
        self._seen, self._over = Counter(), []
        return told

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.thread_time()
        took = now - self._last if self._last else 0.0
        self._longest = max(self._longest, took)
        if took > 0.02:
            self._over.append(took)
        self._last, self._turn_began = now, time.perf_counter()
        loop.call_later(TICK, self._tick, loop)

    def _collected(self, phase: str, _: object) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._gc_began = time.thread_time()
        else:
            self._longest_gc = max(self._longest_gc, time.thread_time() - self._gc_began)

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_EVERY)
            if self._turn_began and time.perf_counter() - self._turn_began > LONG:
                frames = sys._current_frames()  # noqa: SLF001 - the only way to see what another thread does
                self._seen[_stack(frames.get(self._thread))] += 1


def serve_measured(mesh: Mesh, answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
    """A node in this process that answers on its standard input: {"take": true} with its turns, other orders with `answer`."""
    meter = TurnMeter()
    meter.install()

    def listen(facts: dict[str, str]) -> None:
        print(json.dumps(facts), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            told = meter.take() if answer is None or "take" in order else answer(order)
            print(json.dumps(told), flush=True)

    serve(run_node, "node", mesh, listen)


def _stack(frame: FrameType | None) -> str:
    names: list[str] = []
    while frame is not None and len(names) < DEPTH:
        names.append(frame.f_code.co_qualname.rpartition("<locals>.")[2])
        frame = frame.f_back
    return " < ".join(names)
