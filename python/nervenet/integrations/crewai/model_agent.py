# SPDX-License-Identifier: Apache-2.0
"""The agent that calls the models of a crew: one call of `BaseLLM.call` as a task (`durable_crew(model_calls=True)`).

It has the user's crew, so it has its models with their keys, callbacks and settings; a request only names one (`llms_of`). It
reports no tokens: the task of the crew that gets the answer does, so that they are counted once and in the user's workflow.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from crewai.hooks.llm_hooks import model_call_hooks_dispatched
from crewai.llms.base_llm import BaseLLM, call_stop_override
from crewai.utilities.llm_utils import create_llm

from nervenet import AgentError, CallOptions, RetryPolicy
from nervenet.integrations.crewai.model_faults import translated
from nervenet.integrations.crewai.model_values import decode, encode_answer, schema_class

if TYPE_CHECKING:
    from crewai import Crew

__all__ = ["MODEL_DEFAULTS", "call_handler", "forget_usage", "llms_of"]

MODEL_DEFAULTS = CallOptions(retry=RetryPolicy(max_attempts=8))
"""As `nervenet.integrations.llm` has them."""
Holder = Any
"""What has models as attributes: an agent, or the crew."""


def llms_of(crew: Crew) -> dict[tuple[str, str], tuple[Holder, BaseLLM]]:
    """The models of a crew by name: ("Researcher", "llm"). With each, what has it as an attribute."""
    holders: list[tuple[str, Holder, tuple[str, ...]]] = [
        (agent.role, agent, ("llm", "function_calling_llm")) for agent in crew.agents
    ]
    holders.append(("manager", crew.manager_agent, ("llm", "function_calling_llm")))
    holders.append(("manager", crew, () if crew.manager_agent is not None else ("manager_llm",)))
    found: dict[tuple[str, str], tuple[Holder, BaseLLM]] = {}
    for owner, holder, names in holders:
        for name in names:
            llm = getattr(holder, name, None)
            if isinstance(llm, str):  # the manager's: CrewAI makes it when it makes the manager
                llm = create_llm(llm)
            if isinstance(llm, BaseLLM):
                found[owner, name] = (holder, llm)
    return found


def _find(llms: Mapping[tuple[str, str], tuple[Holder, BaseLLM]], name: tuple[str, str]) -> BaseLLM:
    held = llms.get(name)
    if held is None:
        raise AgentError(
            f"this agent runs a version of the crew without the model {name[1]!r} of {name[0]!r}: deploy the agents that "
            "call models before those that run tasks",
            type="UnknownModel",
        )
    return held[1]


def forget_usage(llm: BaseLLM) -> None:
    """Give a copy of a model its own counter of tokens, at zero: CrewAI's copies share that of the original."""
    copied = cast("Any", llm)
    copied._token_usage = dict.fromkeys(copied._token_usage, 0)  # noqa: SLF001  # there is no other way to reset it


def call_handler(crew: Crew, name: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """The handler for the models of this crew."""

    @cache
    def llms() -> Mapping[tuple[str, str], tuple[Holder, BaseLLM]]:
        return llms_of(crew)

    def run(request: dict[str, Any]) -> dict[str, Any] | None:
        if "failed" in request:  # a mark of ModelCalls.seal: there is nothing to do
            return None
        owner, kind = request["llm"]
        return _called(_find(llms(), (owner, kind)), request)

    run.__doc__ = f"Calls of the models of the crew {name!r}."
    return run


def _called(shared: BaseLLM, request: dict[str, Any]) -> dict[str, Any]:
    llm = copy.copy(shared)  # others call it at the same time, and its counter of tokens is part of it
    forget_usage(llm)
    call = type(llm).call
    once = cast(
        "Callable[..., Any]", getattr(call, "__wrapped__", call)
    )  # without CrewAI's retries, which hold the slot
    schema = request.get("schema")
    try:
        with call_stop_override(llm, request["stop"]), model_call_hooks_dispatched():
            answer = once(
                llm,
                decode(request["messages"]),
                tools=request.get("tools"),
                callbacks=[],
                available_functions=None,
                from_task=None,
                from_agent=None,
                response_model=None if schema is None else schema_class(schema),
            )
        encoded = encode_answer(answer)
    except Exception as error:  # noqa: BLE001  # each one is translated, and raised
        now = datetime.now(UTC)  # noqa: TID251  # integrations stand on the public API alone
        raise translated(error, llm, now) from None  # the chain would have what the endpoint said of our key
    return {**encoded, "model": llm.model, "usage": llm.get_token_usage_summary().model_dump(mode="json")}
