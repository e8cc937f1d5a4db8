# SPDX-License-Identifier: Apache-2.0
"""One role process of a development mesh: started and watched by its own thread, ended when this process ends.

The thread forks the process and waits for it, because Linux ties "die with your parent" to the forking thread. It has
its own session, so that a Ctrl-C in the terminal reaches only the supervisor, which then stops everything in order.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nervenet.dev.servers import tied

POLL = 0.02
KILL_AFTER = 5.0
"""Seconds beyond its own drain that a role may take to end."""


class ChildProcess:
    """A process of `nervenet`. It writes `ready_file` when it serves."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], ready_file: Path) -> None:
        self._command = [sys.executable, "-P", "-m", "nervenet", *arguments, "--ready-file", str(ready_file)]
        self._environment = dict(environment)
        self._ready_file = ready_file
        self._process: subprocess.Popen[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self.facts: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._ended.done()

    def start(self) -> None:
        """Start it. Returns at once."""
        self._ready_file.unlink(missing_ok=True)
        spawned = threading.Event()
        threading.Thread(target=self._watch, args=(spawned,), name="child", daemon=True).start()
        spawned.wait()

    def _watch(self, spawned: threading.Event) -> None:
        try:
            self._process = subprocess.Popen(
                tied(self._command), stdin=subprocess.DEVNULL, env=self._environment, start_new_session=True
            )
        finally:
            spawned.set()
        code = self._process.wait()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, code)

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    async def ready(self) -> bool:
        """True when it serves (`facts` has what it reported), False if it ended before."""
        while not self._ended.done():
            if self._ready_file.exists():
                self.facts = json.loads(self._ready_file.read_bytes())
                return True
            await asyncio.sleep(POLL)
        return False

    async def ended(self) -> int:
        """Its exit code. Negative: the signal that killed it."""
        return await asyncio.shield(self._ended)

    async def stop(self, patience: float) -> None:
        """Send SIGTERM, and SIGKILL if it does not end in time."""
        self.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), patience)
        except TimeoutError:
            self.kill()
            await self.ended()

    def kill(self, signum: int = signal.SIGKILL) -> None:
        if self.alive:
            assert self._process is not None
            self._process.send_signal(signum)


def how(code: int) -> str:
    """`was killed by SIGKILL`, `ended with code 70`."""
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"ended with code {code}"


def environment(**settings: str | None) -> dict[str, str]:
    """The environment of this process, with these NERVENET_ settings. None removes a setting."""
    made = dict(os.environ)
    for name, value in settings.items():
        if value is None:
            made.pop(f"NERVENET_{name.upper()}", None)
        else:
            made[f"NERVENET_{name.upper()}"] = value
    return made
