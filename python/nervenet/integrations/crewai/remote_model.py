# SPDX-License-Identifier: Apache-2.0
"""A model whose calls are tasks of the pool, where a task of the crew runs.

It is a copy of the user's model, of a subclass of its own class, in which only `call` and `acall` differ. So CrewAI finds everything
else that it asks a model for: which tools it supports, the size of its context, its counter of tokens.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from crewai.hooks.llm_hooks import model_call_hooks_already_dispatched
from crewai.types.usage_metrics import UsageMetrics
from crewai.utilities.token_counter_callback import TokenCalcHandler
from pydantic import BaseModel

from nervenet import AgentError
from nervenet.integrations.crewai.model_agent import forget_usage
from nervenet.integrations.crewai.model_faults import ModelCallFailed
from nervenet.integrations.crewai.model_values import decode, encode, schema_of, with_stable_ids

if TYPE_CHECKING:
    from crewai.llms.base_llm import BaseLLM

    from nervenet.integrations.crewai.model_calls import ModelCalls

__all__ = ["through"]


def through(calls: ModelCalls, llm: BaseLLM, name: tuple[str, str]) -> BaseLLM:
    """A copy of a model whose calls are tasks.

    Args:
        calls: The calls of this attempt.
        llm: The model.
        name: Its name (`llms_of`).
    """
    made = copy.copy(llm)
    forget_usage(made)
    object.__setattr__(made, "__class__", _class_in_tasks(type(made)))
    object.__setattr__(made, "_remote_calls", _Remote(calls, name))
    return made


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
def _class_in_tasks(real: type[BaseLLM]) -> type[BaseLLM]:
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
