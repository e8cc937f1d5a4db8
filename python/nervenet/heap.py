# SPDX-License-Identifier: Apache-2.0
"""The memory of this process: what it has, when Python looks for garbage, and what Python has freed and glibc keeps.

    collect_seldom()
    size, resident = memory_in_use()
    return_free_memory()

glibc gives back only what is free at the top of its heaps. So a process keeps what its imports needed for a moment: 10 to
14 MB of a node at its start.
"""

from __future__ import annotations

import gc
import mmap
from contextlib import suppress
from pathlib import Path

__all__ = ["collect_seldom", "memory_in_use", "return_free_memory"]


def collect_seldom() -> None:
    """Let Python look for garbage after 200,000 new objects, and not after 700: for a process that begins to import.

    An import makes many objects and no garbage. At CPython's own pace a node needs about a tenth more CPU to start.
    """
    gc.set_threshold(200_000, 20, 50)


def memory_in_use() -> tuple[int, int]:
    """Virtual and resident size in bytes; zeros where the system does not tell (it has no `/proc`)."""
    try:
        size, resident, *_ = Path("/proc/self/statm").read_bytes().split()
    except OSError:
        return 0, 0
    return int(size) * mmap.PAGESIZE, int(resident) * mmap.PAGESIZE


def return_free_memory() -> None:
    """Give it back to the system, within milliseconds. Does nothing where the C library has no such call (musl, macOS)."""
    import ctypes  # a command of the command line never needs it

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
