# SPDX-License-Identifier: Apache-2.0
"""How much memory this process may use, how much it uses, and whether one more workflow fits.

It hides where these numbers come from. The truth is the resident size that Linux reports (`/proc/self/statm`), read at
most four times a second. What was promised since then is added by an estimate: a workflow costs what its input costs once
as bytes, once as stored entry and once as Python objects, which for JSON depends on the number of values. A promise counts for a
second; by then it is part of the resident size.

Rejected: adding up estimates alone (user code holds what nobody can estimate), and the resident size alone (a second of
starts with large inputs is enough to end the process). Where there is no `/proc` nothing is limited.
"""

from __future__ import annotations

import os
import resource
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM
from nervenet.heap import memory_in_use, return_free_memory

if TYPE_CHECKING:
    from collections.abc import Callable

PART: Final = 0.8
"""Of what the machine, the container or the limits of the process allow, when nothing is set."""
MEASURE_EVERY: Final = 0.25
PROMISED_FOR: Final = 1.0
SHORT: Final = 0.95
"""From this part of the limit on, other nodes are told to send nothing …"""
ROOMY: Final = 0.85
"""… until less than this is used."""
TRIM_EVERY: Final = 5.0
"""Between two times that the C library is asked to give back what it does not use."""
PER_WORKFLOW: Final = 12 * 1024
PER_JSON_VALUE: Final = 128
SMALL: Final = 1024
"""Bytes up to which an input costs nothing that would be worth counting."""
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def cost_of(*entries: bytes) -> int:
    """About the bytes of memory that a workflow with this input, or this journal, takes."""
    cost = PER_WORKFLOW
    for data in entries:
        size = len(data)
        if size > SMALL:
            cost += 2 * size + PER_JSON_VALUE * data.count(b",")
    return cost


def available() -> int:
    """The bytes that this process can use at most: the least of machine, container (cgroup) and its own limits."""
    found = [os.sysconf("SC_PHYS_PAGES") * PAGE, *_cgroup_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]
    size, resident = memory_in_use()
    for limit, unseen in ((resource.RLIMIT_AS, size - resident), (resource.RLIMIT_DATA, 0)):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:  # much of the address space is only reserved, and never resident
            found.append(max(0, soft - unseen))
    return min(found)


def _cgroup_limits(own: Path, root: Path) -> list[int]:
    """Of this process' group and those above it; version 2, and version 1 as containers show it."""
    folders = [root / "memory"]
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, kind, path = line.split(":", 2)
            if not kind or "memory" in kind.split(","):
                group = root / ("memory" if kind else ".") / path.lstrip("/")
                folders += [group, *(folder for folder in group.parents if root in (folder, *folder.parents))]
    found = []
    for folder in folders:
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # not there, or "max": no limit
                found.append(int((folder / name).read_text()))
    return found


class Memory:
    """One for each node. `limit` None: a part of what is available, divided by the `processes` that share it."""

    def __init__(
        self,
        limit: int | None,
        *,
        processes: int = 1,
        resident: Callable[[], int] = lambda: memory_in_use()[1],
        now: Callable[[], float] = SYSTEM.monotonic,
    ) -> None:
        self.limit = limit if limit is not None else int(available() * PART) // processes
        self._resident, self._now = resident, now
        self._measured_at = self._trimmed_at = float("-inf")
        self._used = self._promised = 0
        self._promises: deque[tuple[float, int]] = deque()
        self._short = False

    def __repr__(self) -> str:
        return f"<Memory {self.used >> 20} of {self.limit >> 20} MiB>"

    @property
    def used(self) -> int:
        """Bytes: what is resident, and what was promised within the last second."""
        now = self._now()
        while self._promises and now - self._promises[0][0] >= PROMISED_FOR:
            self._promised -= self._promises.popleft()[1]
        if now - self._measured_at >= MEASURE_EVERY:
            self._measured_at, self._used = now, self._resident()
            if self._used > self.limit * ROOMY and now - self._trimmed_at >= TRIM_EVERY:
                self._trimmed_at = now
                threading.Thread(target=return_free_memory, name="nervenet-trim", daemon=True).start()
        return self._used + self._promised

    @property
    def short(self) -> bool:
        """Whether others should send nothing here, and nothing be adopted."""
        self._short = self.used >= self.limit * (ROOMY if self._short else SHORT)
        return self._short

    def fits(self, cost: int) -> bool:
        """Whether `cost` more bytes may be used."""
        return self.used + cost <= self.limit

    def promise(self, cost: int) -> None:
        """Count these bytes as used: an allocation of this size follows."""
        self._promises.append((self._now(), cost))
        self._promised += cost
