# SPDX-License-Identifier: Apache-2.0
"""One OpenAI-compatible endpoint: the client of the official library, and one call of a model with it.

The library's own retries are off. nervenet retries, because its retries survive the process, keep their pauses in the
journal and free the slot meanwhile.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nervenet.integrations.llm.collecting import CUT, Collected
from nervenet.integrations.llm.errors import InvalidAnswer, LLMError, RequestRefused
from nervenet.integrations.llm.faults import Place, of_connection, of_status, of_stream
from nervenet.integrations.llm.messages import ChatReply, ChatRequest, Message, OutputSchema, Tool
from nervenet.integrations.llm.schemas import misfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI

    from nervenet import Agent, Task

__all__ = ["Endpoint"]

_NEW_LIMIT = ("openai.com", "openai.azure.com")
"""Hosts that want `max_completion_tokens`. The compatible servers know the older `max_tokens`."""


class Endpoint:
    """What a process of the agent holds.

    Args:
        client: The client of the official library.
        model: The model of requests that name none.
        max_tokens: Limit for the tokens of answers to requests that name none.
        stream: Whether answers come as streams.
        key_from: Where the key comes from, for the words of an error.
        agents: The agents that a request may name as tools.
        outputs: The types that a request may name as the form of the answer.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        model: str,
        max_tokens: int | None,
        stream: bool,
        key_from: str,
        agents: Mapping[str, Agent[Any, Any]],
        outputs: Mapping[str, type[Any]],
    ) -> None:
        self._client = client
        self._model = model
        self._max_tokens = max_tokens
        self._stream = stream
        self._key_from = key_from
        self._agents = agents
        self._outputs = outputs

    def __repr__(self) -> str:
        return f"<Endpoint {self._host} {self._model}>"

    @property
    def _host(self) -> str:
        url = self._client.base_url
        return f"{url.host}:{url.port}" if url.port else str(url.host)

    async def call(self, task: Task[Any], request: ChatRequest) -> ChatReply:
        """One call of a model. Sends text to watchers as it comes, and reports the tokens.

        Raises:
            LLMError: The call failed. The message has no key.
        """
        place = Place(self._host, request.model or self._model, self._client.api_key, self._key_from)
        collected = Collected()
        wanted = self._wanted(request)
        body = self._body(request, wanted)
        try:
            await self._run(task, body, collected)
        except LLMError:
            raise
        except Exception as error:
            if (ours := _translated(place, error)) is None:
                raise
            raise ours from None  # the chain would end up in the journal, with what the endpoint said of our key
        finally:
            self._report(task, place.model, collected)
        if not collected.finish:
            raise of_connection(place, f"the answer of {place.model} broke off after {len(collected.text)} characters")
        reply = collected.reply()
        if wanted is not None:
            _check(wanted, reply)
            if isinstance(request.output, str) and reply.text and not reply.refusal:
                reply.parse(self._outputs[request.output])  # its validators may want more than the schema says
        return reply

    async def _run(self, task: Task[Any], body: dict[str, Any], collected: Collected) -> None:
        create: Any = self._client.chat.completions.create
        if not self._stream:
            collected.take(await create(**body))
            return
        async with await create(**body, stream=True, stream_options={"include_usage": True}) as stream:
            async for chunk in stream:  # a cancelled attempt leaves the block, which closes the connection
                if text := collected.add(chunk):
                    task.emit(text)
                else:
                    task.check()

    def _wanted(self, request: ChatRequest) -> OutputSchema | None:
        """The schema of the answer."""
        if not isinstance(request.output, str):
            return request.output
        if request.output not in self._outputs:
            raise RequestRefused(
                f"the LLM agent knows no type {request.output!r}: pass it as llm_agent(outputs=[…]), or send OutputSchema.of(…)",
                retryable=False,
            )
        return OutputSchema.of(self._outputs[request.output], name=request.output)

    def _completed(self, tool: Tool) -> Tool:
        """The tool with its parameters."""
        agent = self._agents.get(tool.name)
        if agent is not None:
            return tool.completed(agent)
        if tool.parameters is None:
            raise RequestRefused(
                f"the tool {tool.name!r} has no parameters, and the LLM agent knows no agent of this name: "
                "pass the agent as llm_agent(tools=[…]), or give the tool parameters",
                retryable=False,
            )
        return tool

    def _body(self, request: ChatRequest, wanted: OutputSchema | None) -> dict[str, Any]:
        """The arguments of the library's `create`."""
        limit = request.max_tokens or self._max_tokens
        named = "max_completion_tokens" if str(self._client.base_url.host).endswith(_NEW_LIMIT) else "max_tokens"
        body: dict[str, Any] = {
            "model": request.model or self._model,
            "messages": [_message(one) for one in request.messages],
            "tools": [_tool(self._completed(one)) for one in request.tools],
            "tool_choice": _choice(request.tool_choice),
            "parallel_tool_calls": request.parallel_tool_calls,
            "response_format": _format(wanted),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": request.stop,
            "seed": request.seed,
            "extra_body": request.extra,
            named: limit,
        }
        return {name: value for name, value in body.items() if value is not None and value not in ([], {})}

    def _report(self, task: Task[Any], model: str, collected: Collected) -> None:
        if collected.usage is not None:
            task.usage(model, input_tokens=collected.usage[0], output_tokens=collected.usage[1])
        _annotate(model, collected)


def _message(message: Message) -> dict[str, Any]:
    written = message.model_dump()
    if message.tool_calls:
        written["tool_calls"] = [
            {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": json.dumps(one.arguments)}}
            for one in message.tool_calls
        ]
    return written


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": {**tool.model_dump(), "parameters": parameters}}


def _choice(choice: str | None) -> Any:
    if choice in (None, "auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def _format(wanted: OutputSchema | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    schema = {"name": wanted.name, "schema": wanted.definition, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


def _check(wanted: OutputSchema, reply: ChatReply) -> None:
    """Whether the answer has the form that was asked for. A refusal and a call of a tool need not."""
    if reply.refusal or reply.tool_calls:
        return
    if cut := CUT.get(reply.finish):
        raise InvalidAnswer(f"the answer is no whole JSON: {cut}", retryable=False)
    try:
        value = json.loads(reply.text)
    except ValueError as error:
        raise InvalidAnswer(f"the answer is no JSON: {error}") from None
    if wrong := misfit(value, wanted.definition):
        raise InvalidAnswer(f"the answer does not fit the schema {wanted.name}: {wrong}")


def _translated(place: Place, error: Exception) -> LLMError | None:
    """Our error for one of the library or of its HTTP client. None: it is another one."""
    import openai

    if isinstance(error, openai.APIStatusError):
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        return of_status(place, error.status_code, headers, error.body, datetime.now(UTC))  # noqa: TID251 - integrations stand on the public API alone
    if isinstance(error, openai.APITimeoutError):
        return of_connection(place, "no answer in time")
    if isinstance(error, openai.APIConnectionError):
        return of_connection(place, f"the connection failed: {error.__cause__ or error}")
    if isinstance(error, openai.APIError):
        return of_stream(place, error.body or error.message)
    if _of_http(error):
        return of_connection(place, f"the connection failed: {str(error) or type(error).__name__}")
    if isinstance(error, json.JSONDecodeError):
        return of_connection(place, f"a part of the answer is no JSON: {error}")
    return None


def _of_http(error: Exception) -> bool:
    """Whether it is an error of the HTTP client, which versions before 3 of the library let through from streams."""
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2")


def _annotate(model: str, collected: Collected) -> None:
    """Attributes of OpenTelemetry's conventions for generative AI, on the span of the attempt."""
    if "opentelemetry.trace" not in sys.modules:
        return
    from opentelemetry import trace

    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": model})
    if collected.model:
        span.set_attribute("gen_ai.response.model", collected.model)
    if collected.finish:
        span.set_attribute("gen_ai.response.finish_reasons", (collected.finish,))
    if collected.usage is not None:
        span.set_attribute("gen_ai.usage.input_tokens", collected.usage[0])
        span.set_attribute("gen_ai.usage.output_tokens", collected.usage[1])
