# SPDX-License-Identifier: Apache-2.0
"""One process of a supervisor: started, awaited, asked to stop.

It has its own session, so that a Ctrl-C in the terminal reaches only the supervisor. Its standard input is a pipe from the
supervisor: it drains and ends when that is closed (`place.end_with_supervisor`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nervenet.process.place import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.process.place import Place

__all__ = ["WorkerProcess", "how_it_ended"]

POLL: Final = 0.05


class WorkerProcess:
    """Made by `start`. `facts` is what it reported when it began to serve."""

    def __init__(self, process: asyncio.subprocess.Process, place: Place) -> None:
        self._process = process
        self._ready_file = Path(place.ready_file)
        self._ended = asyncio.ensure_future(process.wait())
        self.number = place.number
        self.facts: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.number}, pid {self.pid}{'' if self.alive else ', ended'}>"

    @classmethod
    async def start(cls, arguments: Sequence[str], place: Place) -> WorkerProcess:
        """Start `nervenet` with these arguments."""
        process = await asyncio.create_subprocess_exec(
            *_interpreter(),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, VARIABLE: place.encode()},
            start_new_session=True,
        )
        return cls(process, place)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.done()

    @property
    def serves(self) -> bool:
        return self.alive and bool(self.facts)

    async def ready(self) -> bool:
        """True when it serves, False if it ended before."""
        while self.alive:
            if self._ready_file.exists():  # it appears whole
                self.facts = json.loads(self._ready_file.read_bytes())
                return True
            await asyncio.wait((self._ended,), timeout=POLL)
        return False

    async def ended(self) -> int:
        """Its exit code. Negative: the signal that ended it."""
        return await asyncio.shield(self._ended)

    async def stop(self, patience: float) -> int:
        """Let it drain; kill it if it has not ended within `patience` seconds. Returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience):
                return await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.ended()

    def signal(self, signum: int) -> None:
        if self.alive:
            self._process.send_signal(signum)


def _interpreter() -> list[str]:
    """This command again. The working directory is a place for modules where it is one here: with `python -m nervenet`, not with `nervenet`."""
    has_directory = sys.path[:1] in ([""], [str(Path.cwd())])
    return [sys.executable, *([] if has_directory else ["-P"]), "-m", "nervenet"]


def how_it_ended(code: int) -> str:
    """`was killed by SIGKILL`, `ended with code 70`."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
