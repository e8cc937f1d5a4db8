# SPDX-License-Identifier: Apache-2.0
"""The Python candidate: the two capabilities of the suite as a user of the package would write them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from nervenet import AgentError, Mesh, Task

mesh = Mesh("conformance")


class Fail(BaseModel):
    type: str
    message: str
    retryable: bool = True
    retry_after_ms: int | None = None
    details: JsonValue = None
    until_attempt: int = 1_000_000


class Work(BaseModel):
    """What a task of `conf_work` shall do, in this order."""

    log: str
    progress: list[tuple[float, str]] = []
    emit: list[JsonValue] = []
    checkpoint: JsonValue = None
    sleep_ms: int = 0
    crash: bool = False
    fail: Fail | None = None
    size: int = 0
    number: int | None = None


@mesh.agent(slots=4)
async def conf_echo(value: Any) -> Any:
    """Answers with what it was given."""
    return value


@mesh.agent(slots=4)
async def conf_work(task: Task, work: Work) -> dict[str, JsonValue]:
    """Does as it is told, and writes down when it began and how it ended."""
    restored: JsonValue = task.restore(JsonValue)  # type: ignore[arg-type]  # a union, which restore takes as a form
    note(work.log, "begin", task)
    try:
        for fraction, words in work.progress:
            task.progress(fraction, words)
        for part in work.emit:
            task.emit(part)
        if work.checkpoint is not None:
            task.checkpoint(work.checkpoint)
        await asyncio.sleep(work.sleep_ms / 1000)
    except asyncio.CancelledError:
        note(work.log, "canceled", task)
        raise
    note(work.log, "end", task)
    if work.crash:
        [][1]
    if (fail := work.fail) and task.attempt <= fail.until_attempt:
        after = None if fail.retry_after_ms is None else timedelta(milliseconds=fail.retry_after_ms)
        raise AgentError(
            fail.message, type=fail.type, retryable=fail.retryable, retry_after=after, details=fail.details
        )
    successor = None if work.number is None else work.number + 1
    return {"attempt": task.attempt, "checkpoint": restored, "filler": "x" * work.size, "successor": successor}


def note(log: str, word: str, task: Task) -> None:
    with Path(log).open("a") as file:
        file.write(f"{word} {task.id} {task.attempt}\n")
