# SPDX-License-Identifier: Apache-2.0
"""The calls of models in one attempt of a crew's task, each a task of the pool (`durable_crew(model_calls=True)`).

The id of such a task is made of the id of the crew's task, a digest of the request, and how often the attempt has made the same
request. The mesh runs one task for each id. So the next attempt gets the answers that there are, and waits for the call that still
runs. Two cases need more than that:

- A call that failed for good keeps its failure. Attempt n of the crew's task may make it n times in all, under other ids.
- The task itself failed: no guardrail accepted the answers. The same answers would fail in the same way, so `seal` marks the
  attempt, and the next one asks for all answers again. An attempt whose process died leaves no mark.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from nervenet import CallFailed, CallOptions, Client, NervenetError, RequestError
from nervenet.agent.current_config import current_config
from nervenet.errors import NotFound
from nervenet.integrations.crewai.model_faults import as_crewai_expects
from nervenet.integrations.crewai.model_values import digest_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from nervenet import Agent, Task

__all__ = ["MeshLink", "ModelCalls", "mesh_link"]

_CHECK_EVERY = 1.0
"""Seconds between two looks whether the attempt must stop, while it waits for a model."""
_MARK_WITHIN = 5.0


@dataclass(frozen=True)
class MeshLink:
    """How the threads of an agent process reach the mesh: a client, and the loop that it belongs to."""

    client: Client
    loop: asyncio.AbstractEventLoop


@asynccontextmanager
async def mesh_link() -> AsyncGenerator[MeshLink]:
    """The lifespan of the agents of a crew. It connects at the first call."""
    async with Client(config=current_config()) as client:
        yield MeshLink(client, asyncio.get_running_loop())


class ModelCalls:
    """The calls of models in one attempt.

    Args:
        task: The attempt.
        crew: Name of the crew in the mesh.
        agent: The agent that calls the models.
    """

    def __init__(self, task: Task[MeshLink], crew: str, agent: Agent[Any, Any]) -> None:
        self._task, self._link, self._crew, self._agent = task, task.resource, crew, agent
        key = hashlib.blake2b(task.idempotency_key.encode(), digest_size=12).hexdigest()
        self._key = f"{crew}/{key}"
        self._made: Counter[str] = Counter()
        self._lock = Lock()
        self._round = self._wait(self._last_mark()) if task.attempt > 1 else 0

    def seal(self) -> None:
        """The crew's task ended with an error of its own: its next attempt must not use these answers."""
        mark = self._link.client.call(
            self._agent, {"failed": self._task.attempt}, request_id=self._mark(self._task.attempt)
        )
        try:  # the mark is there as soon as it is asked for: its task need not end
            self._wait(asyncio.wait_for(mark, _MARK_WITHIN))
        except (TimeoutError, NervenetError) as error:
            self._task.log.warning("the answers of this attempt will be used again: %s", error)

    def start(self, request: dict[str, Any]) -> Future[dict[str, Any]]:
        """Ask for an answer."""
        digest = digest_of(request)
        with self._lock:
            self._made[digest] += 1
            number = self._made[digest]
        task_id = f"{self._key}/{f'{self._round}-' if self._round else ''}{digest}.{number}"
        return asyncio.run_coroutine_threadsafe(self._answer(request, task_id), self._link.loop)

    def wait(self, answer: Future[dict[str, Any]]) -> dict[str, Any]:
        """Wait for it in this thread.

        Raises:
            asyncio.CancelledError: The attempt must stop. The call goes on, and the next attempt gets its answer.
        """
        while True:
            try:
                return answer.result(_CHECK_EVERY)
            except TimeoutError:
                if answer.done():
                    raise
            try:
                self._task.check()
            except BaseException:
                answer.cancel()
                raise

    async def _answer(self, request: dict[str, Any], task_id: str) -> dict[str, Any]:
        options = CallOptions(labels={"crew": self._crew, "task": self._task.id})
        failed: Exception | None = None
        for earlier in range(self._task.attempt):
            try:
                answer: dict[str, Any] = await self._link.client.call(
                    self._agent, request, request_id=f"{task_id}@{earlier}" if earlier else task_id, options=options
                )
            except CallFailed as error:
                failed = error
            except RequestError as error:
                raise as_crewai_expects(error) from None
            else:
                return answer
        assert failed is not None
        raise as_crewai_expects(failed) from None

    async def _last_mark(self) -> int:
        """The newest attempt before this one that ended with an error of its own. 0: none."""
        for attempt in range(self._task.attempt - 1, 0, -1):
            try:
                await self._link.client.handle(f"task/{self._mark(attempt)}").info()
            except NotFound:
                continue
            return attempt
        return 0

    def _mark(self, attempt: int) -> str:
        return f"{self._key}/failed-{attempt}"

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._link.loop).result()
