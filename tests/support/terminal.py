# SPDX-License-Identifier: Apache-2.0
"""What a person at a terminal sees."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


def on_a_terminal(line: str, cwd: Path, env: Mapping[str, str], within: float = 60, stdin: str = "") -> tuple[int, str]:
    """Run a shell command as somebody at a terminal without colours sees it: its exit code and all that it wrote."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    environment = {**env, "COLUMNS": "110", "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        line, shell=True, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    assert process.stdin is not None
    with process.stdin as keyboard:
        keyboard.write(stdin.encode())  # fits in the pipe
    said, deadline = b"", time.monotonic() + within
    try:
        while time.monotonic() < deadline:
            select.select([ours], [], [], 0.5)
            try:
                part = os.read(ours, 65536)
            except BlockingIOError:
                continue
            except OSError:  # the other side is closed
                break
            if not part:
                break
            said += part
        return process.wait(max(deadline - time.monotonic(), 0.1)), _seen(said.decode())
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _seen(said: str) -> str:
    """What stands on the screen at the end: a line that was written over is gone."""
    return re.sub(r"[^\n]*\r\x1b\[K", "", said.replace("\r\n", "\n"))
