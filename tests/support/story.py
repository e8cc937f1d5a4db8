# SPDX-License-Identifier: Apache-2.0
"""What a handler in another process tells a test, and how the test holds it back: by files in one folder.

A handler calls `record(task.workflow_id, "began")` and `await passed("gate")`; the test, which has the same folder, waits
with `await story.effect(workflow_id, "began")` and lets it go on with `story.open("gate")`.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from nervenet import CallOptions, RetryPolicy
from tests.support.waiting import until

FOLDER = "STORY_FOLDER"
"""The environment variable that tells a handler where the folder is."""
SOON = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=50)))
"""Options of a call that is tried again soon."""


# ── in the handler ───────────────────────────────────────────────────────────────────────────────────────────────────


def folder() -> Path:
    return Path(os.environ.get(FOLDER, "."))


def record(key: str, words: str) -> None:
    """Write down a line about this key. It is one write in append mode: lines of many processes stay whole."""
    with (folder() / "effects").open("a", buffering=1) as file:
        file.write(f"{key} {words}\n")


async def passed(gate: str) -> None:
    """Wait until the test opens this gate."""
    while not (folder() / f"gate-{gate}").exists():
        await asyncio.sleep(0.01)


# ── in the test ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Story:
    """The folder as the test sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def logs(self) -> str:
        """What stands below the message of a wait that failed."""
        return ""

    def lines(self) -> list[str]:
        """All lines that handlers wrote, in their order."""
        file = self.folder / "effects"
        return file.read_text().splitlines() if file.exists() else []

    def effects(self, about: str) -> list[str]:
        """The lines about this key, without the key."""
        return [words for key, _, words in (line.partition(" ") for line in self.lines()) if key == about]

    async def effect(self, about: str, words: str, within: float = 20) -> None:
        """Wait until a handler wrote a line about this key that begins with these words."""
        found = lambda: any(line.startswith(words) for line in self.effects(about))  # noqa: E731  # read once
        await until(found, f"{about}: {words}", within, self)

    def open(self, gate: str) -> None:
        """Let the handlers go on that wait at this gate."""
        (self.folder / f"gate-{gate}").touch()
