# SPDX-License-Identifier: Apache-2.0
"""Single keys of a terminal, as they are pressed."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keys"]


@contextmanager
def keys() -> Iterator[asyncio.Queue[str]]:
    """While the block runs, each key goes into the queue and is not shown. The terminal is as before afterwards."""
    pressed: asyncio.Queue[str] = asyncio.Queue()
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(fd)

    def read() -> None:
        for key in os.read(fd, 1024).decode("utf-8", "replace"):
            pressed.put_nowait(key)

    tty.setcbreak(fd)  # Ctrl-C still interrupts
    loop.add_reader(fd, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
