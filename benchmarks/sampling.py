# SPDX-License-Identifier: Apache-2.0
"""Where a process spends its CPU: a sampler that costs little enough to be on while it is measured.

    NERVENET_BENCH_PROFILE=build/bench/profile python benchmarks/throughput.py --quick

Each millisecond of CPU the kernel sends a signal, and the stack that it meets is counted. A C function is seen as the Python
function that called it. `own` counts the top of the stack, `all` whatever stands in it.

With NERVENET_BENCH_CALLS every call is counted instead (cProfile), from SIGUSR1 to SIGUSR2: see calls.py.
"""

from __future__ import annotations

import cProfile
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


@contextmanager
def sampled(name: str) -> Iterator[None]:
    """Profile the block, if the environment asks for it, into `<folder>/<name>-<pid>.txt`."""
    folder = os.environ.get("NERVENET_BENCH_PROFILE")
    if counts := os.environ.get("NERVENET_BENCH_CALLS"):
        _count(Path(counts) / f"{name}.json")
    if not folder:
        yield
        return
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        seen = set()
        at = frame
        while at is not None:
            code = at.f_code
            seen.add(f"{code.co_filename.rpartition('/nervenet/')[2]}:{code.co_firstlineno} {code.co_qualname}")
            at = at.f_back
        whole.update(seen)
        if frame is not None:
            own[
                f"{frame.f_code.co_filename.rpartition('/nervenet/')[2]}:{frame.f_lineno} {frame.f_code.co_qualname}"
            ] += 1

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(Path(folder) / f"{name}-{os.getpid()}.txt", own, whole)


def _count(path: Path) -> None:
    """Count the calls of this thread between two signals; the second one writes them. As often as it is told to."""
    profile = cProfile.Profile()

    def begin(_: int, __: FrameType | None) -> None:
        profile.clear()
        profile.enable()

    def end(_: int, __: FrameType | None) -> None:
        profile.disable()
        part = path.with_suffix(".part")
        part.write_text(json.dumps([_row(entry) for entry in profile.getstats()]))
        part.rename(path)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)


def _row(entry: Any) -> dict[str, Any]:
    """A function's calls, and what it calls. (pstats would merge functions of one name and line, as those of named tuples.)"""
    callees = {_place(each.code): each.callcount for each in entry.calls or ()}
    return {"function": _place(entry.code), "calls": entry.callcount, "callees": callees}


def _place(code: Any) -> str:
    if isinstance(code, str):  # a function in C
        return code
    file = code.co_filename.rpartition("/nervenet/")[2].rpartition("/site-packages/")[2]
    return f"{file}:{code.co_firstlineno} {code.co_qualname}"


def _write(path: Path, own: Counter[str], whole: Counter[str]) -> None:
    total = sum(own.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as out:
        for title, counts in (("own, by line", own), ("all, by function", whole)):
            print(f"── {title}, {total} samples", file=out)
            for where, count in counts.most_common(90):
                print(f"{count / max(total, 1):7.2%}  {where}", file=out)
