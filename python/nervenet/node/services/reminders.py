# SPDX-License-Identifier: Apache-2.0
"""Questions that go out to where people are: a webhook or a command, when one is asked and again until it is decided.

The owner of a workflow tells. It writes nothing down: when the n-th reminder is due follows from when the question
was asked, so a new owner goes on where the old one was. Told at least once, therefore, with a key by which a receiver
knows what it has seen: `<escalation id>/<n>`, 0 for the first. A hook that fails is tried again and then left to the
next reminder; no workflow waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
from typing import TYPE_CHECKING, Final

from google.protobuf.json_format import MessageToDict

from nervenet.errors import NervenetError, RequestError
from nervenet.redis_link.faults import LinkError
from nervenet.streams.keys import escalation_id
from nervenet.v1 import workflow_pb2

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from nervenet.node.context import NodeContext
    from nervenet.node.services.people import People
    from nervenet.node.workflows.hosted import HostedWorkflows

_log = logging.getLogger(__name__)

ADOPTED_MS: Final = 15_000
"""A question younger than this, met after an adoption, may not have been told: its first owner had no time."""
TRIES: Final = (0.0, 1.0, 5.0)
"""Seconds before each try."""
AWAY: Final = 5.0
"""Seconds until a journal that could not be read is read again."""
WEBHOOK_TIMEOUT: Final = 10.0
COMMAND_TIMEOUT: Final = 30.0
AT_ONCE: Final = 8


class HookFailed(NervenetError):
    """What a hook said when it did not take a question."""


class Reminders:
    """One for each node; without `escalation_hook` it tells nobody."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows, people: People) -> None:
        self._context = context
        self._hosted = hosted
        self._people = people
        self._hook = context.config.escalation_hook
        self._every_ms = context.config.remind_ms
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """What is being told is cut off: the next owner tells it again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a question was not told: %r", error, exc_info=error)

    def opened(self, workflow_id: str, step: str, k: int, adopted: bool) -> None:
        """An open question of a workflow hosted here: asked just now, or met at an adoption."""
        if self._hook is not None:
            self._begin(self._opened(workflow_id, step, k, adopted))

    async def _opened(self, workflow_id: str, step: str, k: int, adopted: bool) -> None:
        n = 0
        if adopted:
            escalation = await self._open(workflow_id, step, k)
            if escalation is None:
                return
            age = self._context.clock.now_ms() - escalation.create_time.ToMilliseconds()
            n = 0 if age < ADOPTED_MS else age // self._every_ms + 1
            if n:
                self._later(escalation, step, k, n)
                return
        await self._tell(workflow_id, step, k, n)

    def _due(self, workflow_id: str, step: str, k: int, n: int) -> None:
        hosted = self._hosted.find(workflow_id)
        if hosted is not None and (step, k) in hosted.listed_questions:
            self._begin(self._tell(workflow_id, step, k, n))

    async def _open(self, workflow_id: str, step: str, k: int) -> workflow_pb2.Escalation | None:
        """What its journal says of it; None when it is decided."""
        while True:
            try:
                found = await self._people.get(escalation_id(workflow_id, step, k))
            except RequestError:
                return None  # its workflow has begun its next run, or is gone
            except LinkError:
                await asyncio.sleep(AWAY)
            else:
                return found if found.state == workflow_pb2.ESCALATION_STATE_OPEN else None

    async def _tell(self, workflow_id: str, step: str, k: int, n: int) -> None:
        escalation = await self._open(workflow_id, step, k)
        if escalation is None:
            return
        self._later(escalation, step, k, n + 1)
        key = f"{escalation.escalation_id}/{n}"
        namespace = self._context.config.namespace
        told = {"key": key, "reminder": n, "namespace": namespace, "escalation": MessageToDict(escalation)}
        async with self._room:
            await self._deliver(key, json.dumps(told, ensure_ascii=False).encode())

    def _later(self, escalation: workflow_pb2.Escalation, step: str, k: int, n: int) -> None:
        due = escalation.create_time.ToMilliseconds() + n * self._every_ms
        self._context.timers.at(due, self._due, escalation.workflow_id, step, k, n)

    async def _deliver(self, key: str, body: bytes) -> None:
        hook = self._hook or ""
        deliver = post if hook.startswith(("http://", "https://")) else run
        for wait in TRIES:
            await asyncio.sleep(wait)
            try:
                await deliver(hook, key, body)
            except HookFailed as error:
                _log.warning("escalation_hook did not take %s: %s", key, error)
            else:
                return
        _log.error("escalation_hook never took %s: it stays open, and is told again when a reminder is due", key)


async def post(url: str, key: str, body: bytes) -> None:
    """Raises HookFailed unless the answer is a 2xx."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "nervenet"}
    import urllib.request  # 10 ms, for those who have a webhook
    from http.client import HTTPException

    request = urllib.request.Request(url, body, headers)  # noqa: S310  # the operator's own, http or https

    def send() -> None:
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT) as answer:  # noqa: S310
            answer.read(1)

    try:
        await asyncio.to_thread(send)
    except (OSError, HTTPException) as error:  # an answer that is no 2xx is an OSError too
        raise HookFailed(str(error)) from None


async def run(command: str, key: str, body: bytes) -> None:
    """The words of a command, without a shell; the body on its stdin. Raises HookFailed unless it ends with 0 in time."""
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NERVENET_ESCALATION_KEY": key},
            start_new_session=True,
        )
    except OSError as error:
        raise HookFailed(str(error)) from None
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT):
            _, said = await process.communicate(body)
    except TimeoutError:
        raise HookFailed(f"it runs for more than {COMMAND_TIMEOUT:.0f} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise HookFailed(f"exit code {process.returncode}: {said.decode(errors='replace').strip()[-500:]}")
