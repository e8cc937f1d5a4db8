# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C for this process alone.

A terminal sends Ctrl-C to all processes of its foreground group. `make` is one of them, and reports an error of its own when
it gets the signal, however well the demo ends. So the demo becomes the foreground group while it waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def alone_on_the_terminal() -> Iterator[None]:
    """Be the foreground group of the terminal. Does nothing where there is none, or where another group has it."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield
        return
    before = os.getpgrp()
    try:
        if os.tcgetpgrp(terminal) != before or os.getpid() == before:
            yield
            return
        # Ctrl-Z would stop the demo alone, and make would wait for it without end.
        ignored = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGTTOU, signal.SIGTSTP)}
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpgrp())
        try:
            yield
        finally:
            os.tcsetpgrp(terminal, before)
            os.setpgid(0, before)
            for signum, handler in ignored.items():
                signal.signal(signum, handler)
    finally:
        os.close(terminal)
