# SPDX-License-Identifier: Apache-2.0
"""Handlers for pool processes: they are imported there, so they stand at module level."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nervenet import Mesh, Task

mesh = Mesh("pooled")


@contextmanager
def model() -> Iterator[dict[str, int]]:
    yield {"pid": os.getpid(), "used": 0}


@mesh.agent(run="process", slots=1, lifespan=model)
def used(task: Task[dict[str, int]]) -> list[int]:
    task.resource["used"] += 1
    return [task.resource["used"], task.resource["pid"], os.getpid()]


@mesh.agent(run="process", slots=2)
def square(n: int) -> int:
    return n * n


@mesh.agent(run="process", slots=1)
def poison(how: str) -> str:
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    return how


@mesh.agent(run="process", slots=1)
def listener(task: Task) -> str:
    """Looks up from its work."""
    task.progress(0.5, "half")
    task.checkpoint({"at": 7})
    while True:
        task.check()
        time.sleep(0.01)


@mesh.agent(run="process", slots=1)
def deaf(task: Task) -> str:
    """Never looks up."""
    task.progress(0.1, "off")
    time.sleep(60)
    return "late"


def plain(n: int) -> int:
    return n + 1


renamed = mesh.agent(plain, name="increment", run="process", slots=1)


@contextmanager
def missing() -> Iterator[None]:
    raise FileNotFoundError("model.bin")
    yield


@mesh.agent(run="process", slots=1, lifespan=missing)
def modelless(task: Task[None]) -> None: ...
