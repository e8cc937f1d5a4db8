# SPDX-License-Identifier: Apache-2.0
"""`llm_agent`: a capability of the mesh that calls a model."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nervenet import Agent, CallOptions, Mesh, RetryPolicy, Task
from nervenet.errors import ConfigError
from nervenet.integrations.llm.endpoint import Endpoint
from nervenet.integrations.llm.messages import ChatReply, ChatRequest
from nervenet.integrations.refusals import Framework

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["llm_agent"]

NO_KEY = "no key"
"""Sent to endpoints without a key, because the library wants one."""
OPENAI = Framework("the OpenAI client", "openai", "llm", "llm", lowest=(2,), below=(4,))
_CONNECT_WITHIN = 5.0
_SEND_WITHIN = 30.0
_DEFAULTS = CallOptions(retry=RetryPolicy(max_attempts=8))


def llm_agent(
    mesh: Mesh,
    /,
    *,
    model: str,
    name: str = "llm",
    base_url: str | None = None,
    api_key_env: str | None = "OPENAI_API_KEY",
    client: Callable[[], AsyncOpenAI] | None = None,
    slots: int = 8,
    max_tokens: int | None = None,
    tools: Collection[Agent[Any, Any]] = (),
    outputs: Collection[type[Any]] = (),
    stream: bool = True,
    silence: timedelta = timedelta(minutes=10),
    version: str = "1",
    labels: Mapping[str, str] | None = None,
    options: CallOptions | None = None,
) -> Agent[ChatRequest, ChatReply]:
    """Add an agent to a mesh that calls a model at any OpenAI-compatible endpoint.

        llm = llm_agent(mesh, model="gpt-4o-mini", slots=16)

        @mesh.workflow
        async def answer(ctx: Context, question: str) -> str:
            return (await ctx.call(llm, ChatRequest.ask(question))).text

    Text goes to watchers as it comes (`handle.partials(llm, str)`), and tokens are reported (`ctx.usage`). A failure that
    may pass is tried again, 8 attempts in all, and not before the time that the endpoint names (`Retry-After`).

    Args:
        mesh: The mesh that gets the agent.
        model: The model of requests that name none.
        name: Name of the agent. Give each its own, if a mesh has several.
        base_url: Address of the endpoint, which mostly ends in `/v1`. Default: the variable OPENAI_BASE_URL, or OpenAI.
        api_key_env: Name of the variable that has the API key, in the environment of the agent. None: the endpoint needs
            no key.
        client: A function that makes the client, for what the other arguments cannot say: Azure, proxies, headers. It
            replaces `base_url` and `api_key_env`. Its retries are turned off.
        slots: Calls that one process runs at the same time. Set it to what your provider allows.
        max_tokens: Limit for the tokens of answers to requests that name none.
        tools: Agents that requests may name as tools (`Tool.of`), beside those of the mesh.
        outputs: Types that requests may name as the form of the answer (`output="Plan"`).
        stream: False: wait for whole answers, for an endpoint that cannot stream. Watchers then see no text.
        silence: Longest wait for the next bytes of the endpoint. The attempt then fails, and is tried again.
        version: Version of the capability.
        labels: Labels that callers can match.
        options: Options that callers inherit.

    Returns:
        The agent. Its calls fail with the errors of this package: RateLimited, ModelUnavailable, InvalidAnswer,
        KeyRefused, QuotaExceeded, ModelNotFound, ContextTooLong, RequestRefused.

    Raises:
        ValueError: An option has a value that it cannot take, or the name is taken.
        UnsupportedVersion: The OpenAI client that is installed is too old or too new.
    """
    if find_spec("openai") is not None:  # nodes need none
        OPENAI.require()
    if silence <= timedelta(0):
        raise ValueError(f"llm_agent {name!r}: silence is {silence!r}: longer than zero")
    make = client or (lambda: _client(name, base_url, api_key_env))
    key_from = "the key of your client" if client else api_key_env or "api_key_env of llm_agent"

    @asynccontextmanager
    async def open_endpoint() -> AsyncGenerator[Endpoint]:
        made = _prepared(make(), silence)
        async with made:
            yield Endpoint(
                made,
                model=model,
                max_tokens=max_tokens,
                stream=stream,
                key_from=key_from,
                agents=mesh.agents | {agent.name: agent for agent in tools},
                outputs={each.__name__: each for each in outputs},
            )

    return _add(mesh, open_endpoint, name, slots, version, labels or {}, _DEFAULTS.merge(options or CallOptions()))


def _add(
    mesh: Mesh,
    lifespan: Callable[[], AbstractAsyncContextManager[Endpoint]],
    name: str,
    slots: int,
    version: str,
    labels: Mapping[str, str],
    options: CallOptions,
) -> Agent[ChatRequest, ChatReply]:
    decorate = mesh.agent(lifespan=lifespan, name=name, slots=slots, version=version, labels=labels, options=options)

    async def chat(task: Task[Endpoint], request: ChatRequest) -> ChatReply:
        """Call a model: messages, tools and the form of the answer in, text and calls of tools out."""
        return await task.resource.call(task, request)

    return decorate(chat)


def _client(name: str, base_url: str | None, api_key_env: str | None) -> AsyncOpenAI:
    """The client of an agent that brings none. Only agents come here: nodes import no client library."""
    try:
        from openai import AsyncOpenAI
    except ImportError:
        raise ConfigError(f"llm_agent {name!r} needs the OpenAI client: pip install 'nervenet[llm]'") from None
    key = NO_KEY if api_key_env is None else os.environ.get(api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"llm_agent {name!r} has no API key: set {api_key_env} in the environment of the agent. "
            "For an endpoint without a key: llm_agent(…, api_key_env=None)."
        )
    return AsyncOpenAI(api_key=key, base_url=base_url)


def _prepared(client: AsyncOpenAI, silence: timedelta) -> AsyncOpenAI:
    """The client without retries of its own, and with our times."""
    from openai import Timeout

    seconds = silence.total_seconds()
    times: Any = Timeout(seconds, connect=_CONNECT_WITHIN, write=_SEND_WITHIN)
    return client.with_options(max_retries=0, timeout=times)
