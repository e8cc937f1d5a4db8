# SPDX-License-Identifier: Apache-2.0
"""Memory that Python has freed and glibc keeps.

    return_free_memory()

glibc gives back only what is free at the top of its heaps. So a process keeps what its imports needed for a moment: 10 to
14 MB of a node at its start.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["return_free_memory"]


def return_free_memory() -> None:
    """Give it back to the system, within milliseconds. Does nothing where the C library has no such call (musl, macOS)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
