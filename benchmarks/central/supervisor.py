# SPDX-License-Identifier: Apache-2.0
"""Starts the orchestrator, and starts it again when it ends: at once, then with pauses that grow while it does not stay up."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

STAYED_UP_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


def supervise(command: Sequence[str], report: Callable[[int], None]) -> None:
    """Until SIGTERM. `command` prints a line when it serves; then `report` gets its process id."""
    signal.signal(signal.SIGTERM, _end)
    pause = 0.0
    while True:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            if line := process.stdout.readline():
                assert json.loads(line) == "ready"
                report(process.pid)
            process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            process.wait()
        pause = 0.0 if time.monotonic() - began > STAYED_UP_S else min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        time.sleep(pause)


def _end(*_: object) -> None:
    raise SystemExit(0)
