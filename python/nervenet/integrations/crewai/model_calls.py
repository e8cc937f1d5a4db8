# SPDX-License-Identifier: Apache-2.0
"""The calls of models in one attempt of a crew's task, each a task of the pool (`durable_crew(model_calls=True)`).

`through` gives a copy of a model whose `call` and `acall` send the request to the capability `<crew>-model` and wait. All else is
the model's own class: which tools it supports, the size of its context, its counter of tokens.

The id of such a task is made of the id of the crew's task, a digest of the request, and how often the attempt has made the same
request. The mesh runs one task for each id. So the next attempt gets the answers that there are, and waits for the call that still
runs. Two cases need more than that:

- A call that failed for good keeps its failure. Attempt n of the crew's task may make it n times in all, under other ids.
- The task itself failed: no guardrail accepted the answers. The same answers would fail in the same way, so `seal` marks the
  attempt, and the next one asks for all answers again. An attempt whose process died leaves no mark.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from crewai.hooks.llm_hooks import model_call_hooks_already_dispatched
from crewai.llms.base_llm import BaseLLM
from crewai.types.usage_metrics import UsageMetrics
from crewai.utilities.token_counter_callback import TokenCalcHandler
from pydantic import BaseModel

from nervenet import AgentError, CallFailed, CallOptions, Client, NervenetError, RequestError
from nervenet.agent.current_config import current_config
from nervenet.errors import NotFound
from nervenet.integrations.crewai.model_agent import forget_usage
from nervenet.integrations.crewai.model_faults import ModelCallFailed, as_crewai_expects
from nervenet.integrations.crewai.model_values import decode, digest_of, encode, schema_of, with_stable_ids

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

    def through(self, llm: BaseLLM, name: tuple[str, str]) -> BaseLLM:
        """A copy of this model whose calls are tasks.

        Args:
            llm: The model.
            name: Its name (`llms_of`).
        """
        made = copy.copy(llm)
        forget_usage(made)
        object.__setattr__(made, "__class__", _remote(type(made)))
        object.__setattr__(made, "_remote_calls", _Remote(self, name))
        return made

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


@dataclass(frozen=True)
class _Remote:
    """What a copy of a model knows: where its calls go, and its name there."""

    calls: ModelCalls
    name: tuple[str, str]

    def request(
        self, llm: BaseLLM, messages: Any, tools: Any, callbacks: Any, functions: Any, kind: Any
    ) -> dict[str, Any]:
        """The request for a call with these arguments.

        Raises:
            ModelCallFailed: An argument cannot travel.
        """
        unknown = [one for one in callbacks or () if not isinstance(one, TokenCalcHandler)]
        if unknown or functions:
            what = f"callbacks ({type(unknown[0]).__name__})" if unknown else "available_functions"
            raise ModelCallFailed(
                f"a call of the model {llm.model!r} has {what}, which cannot travel to the agent that calls the model: give them "
                "to the model itself, LLM(callbacks=[…]), or leave model_calls out of durable_crew",
                type="NotSupported",
                retryable=False,
            )
        plain: Any = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        try:
            request: dict[str, Any] = {
                "llm": list(self.name),
                "messages": with_stable_ids(encode(plain, "messages")),
                "stop": sorted(llm.stop_sequences),  # CrewAI makes it from a set
            }
            if tools:
                request["tools"] = encode(tools, "tools")
        except AgentError as error:
            raise ModelCallFailed(error.message, type=error.type, retryable=False) from None
        if kind is not None:
            request["schema"] = schema_of(kind)
        return request

    def result(self, llm: Any, answer: dict[str, Any], kind: type[BaseModel] | None) -> Any:
        """What `call` returns for this answer."""
        used = UsageMetrics.model_validate(answer["usage"])
        for name in llm._token_usage:  # noqa: SLF001  # the counter that CrewAI reads
            llm._token_usage[name] += getattr(used, name)  # noqa: SLF001
        if "text" in answer:
            return answer["text"]
        if "object" in answer:
            return _object(kind or getattr(llm, "response_format", None), answer["object"])
        return decode(answer["list"] if "list" in answer else answer["value"])


def _object(kind: Any, fields: Any) -> Any:
    return kind.model_validate(fields) if inspect.isclass(kind) and issubclass(kind, BaseModel) else fields


@cache
def _remote(real: type[BaseLLM]) -> type[BaseLLM]:
    """A class like this one whose calls are tasks."""
    made = type(f"{real.__name__}InTasks", (real,), {"__module__": __name__})
    changed = cast("Any", made)  # once the class is made: BaseLLM wraps what a class defines with retries of its own
    changed.call, changed.acall = _call, _acall
    return changed  # type: ignore[no-any-return]


def _call(
    self: Any,
    messages: Any,
    tools: Any = None,
    callbacks: Any = None,
    available_functions: Any = None,
    from_task: Any = None,
    from_agent: Any = None,
    response_model: Any = None,
) -> Any:
    remote: _Remote = self.__dict__["_remote_calls"]
    asked, finish = _hooked(self, messages, from_agent)
    request = remote.request(self, asked, tools, callbacks, available_functions, response_model)
    return finish(remote.result(self, remote.calls.wait(remote.calls.start(request)), response_model))


async def _acall(
    self: Any,
    messages: Any,
    tools: Any = None,
    callbacks: Any = None,
    available_functions: Any = None,
    from_task: Any = None,
    from_agent: Any = None,
    response_model: Any = None,
) -> Any:
    remote: _Remote = self.__dict__["_remote_calls"]
    asked, finish = _hooked(self, messages, from_agent)
    request = remote.request(self, asked, tools, callbacks, available_functions, response_model)
    answer = await asyncio.wrap_future(remote.calls.start(request))
    return finish(remote.result(self, answer, response_model))


def _hooked(llm: Any, messages: Any, agent: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Run the hooks before a call that CrewAI's executor has not run, and give what runs those after it."""
    if model_call_hooks_already_dispatched():
        return messages, lambda answer: answer
    asked = [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(one) for one in messages]
    llm._invoke_before_llm_call_hooks(asked, agent)  # noqa: SLF001  # CrewAI: "should be called by native providers"
    return asked, lambda answer: llm._invoke_after_llm_call_hooks(asked, answer, agent)  # noqa: SLF001
