# SPDX-License-Identifier: Apache-2.0
"""The server that stands in for a model does what the official client expects of OpenAI's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.frameworks.llm_server import MODELS, Rule, StandIn, ToolCall
from tests.support.waiting import until

TOOLS: Any = [
    {"type": "function", "function": {"name": "forecast", "parameters": {"type": "object", "properties": {}}}}
]


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture
async def client(llm: StandIn) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=llm.base_url, api_key=llm.key, max_retries=0) as client:
        yield client


async def test_a_whole_answer_with_its_usage(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule(r"capital of (\w+)", reply=r"\1 has one."))
    answer = await client.chat.completions.create(model="stand-in", messages=said("the capital of Peru?"))
    assert answer.choices[0].message.content == "Peru has one."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 3)


async def test_a_stream_ends_with_the_usage(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule(reply="one two  three\nfour"))
    stream = await client.chat.completions.create(
        model="stand-in", messages=said("count"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert [text for text in texts if text] == ["one", " two", "  three", "\nfour"]
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 4
    assert llm.paid() == {"count": 1}


async def test_parallel_calls_of_tools_and_their_results(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(
        Rule("weather", tools=[ToolCall("forecast", {"city": "Oslo"}), ToolCall("forecast", {"city": "Rome"})]),
        Rule("rain", role="tool", reply="Take an umbrella."),
    )
    asked = said("weather?")
    first = await client.chat.completions.create(model="stand-in", messages=asked, tools=TOOLS)
    message = first.choices[0].message
    calls: Any = message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"city": "Oslo"}', '{"city": "Rome"}']
    assert first.choices[0].finish_reason == "tool_calls"
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in calls]
    second = await client.chat.completions.create(
        model="stand-in", messages=[*asked, message.model_dump(exclude_none=True), *results]
    )
    assert second.choices[0].message.content == "Take an umbrella."


async def test_ids_of_calls_are_the_same_each_time_and_do_not_change_what_was_asked(
    llm: StandIn, client: AsyncOpenAI
) -> None:
    llm.script(Rule("weather", tools=[ToolCall("forecast")]), Rule(role="tool", reply="ok"))
    first = await client.chat.completions.create(model="stand-in", messages=said("weather"))
    again = await client.chat.completions.create(model="stand-in", messages=said("weather"))
    assert first == again
    assert llm.paid_twice() == {"weather": 2}
    for call_id in ("a", "b"):
        call: Any = {"id": call_id, "type": "function", "function": {"name": "forecast", "arguments": "{}"}}
        messages: Any = [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "x"},
        ]
        await client.chat.completions.create(model="stand-in", messages=messages)
    assert llm.paid_twice() == {"weather": 2, "x": 2}


async def test_the_responses_api_whole_and_as_a_stream(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule("weather", reply="Let me look.", tools=[ToolCall("forecast", {"city": "Oslo"})]))
    whole = await client.responses.create(model="gpt-4o", input="weather", instructions="be short")
    assert whole.output_text == "Let me look."
    assert [item.type for item in whole.output] == ["message", "function_call"]
    assert whole.usage is not None and whole.usage.input_tokens == 3
    events = [
        event async for event in await client.responses.create(model="gpt-4o", input=said("weather"), stream=True)
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Let", " me", " look."]
    last = events[-1]
    assert last.type == "response.completed"
    call: Any = last.response.output[1]
    assert (call.name, call.arguments) == ("forecast", '{"city": "Oslo"}')


async def test_structured_output(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule("invoice", json={"total": 42}))
    form: Any = {"type": "json_schema", "json_schema": {"name": "Invoice", "schema": {"type": "object"}}}
    answer = await client.chat.completions.create(model="stand-in", messages=said("invoice"), response_format=form)
    assert answer.choices[0].message.content == '{"total": 42}'


async def test_refusals_and_models(llm: StandIn, client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == list(MODELS)
    llm.script(Rule("busy", status=429, retry_after="2", times=1), Rule("busy", reply="now"))
    with pytest.raises(openai.RateLimitError) as busy:
        await client.chat.completions.create(model="stand-in", messages=said("busy"))
    assert busy.value.response.headers["retry-after"] == "2"
    assert (await client.chat.completions.create(model="stand-in", messages=said("busy"))).choices[0].message.content
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="gpt-0", messages=said("busy"))
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").chat.completions.create(model="stand-in", messages=said("busy"))
    with pytest.raises(openai.BadRequestError, match="no rule"):
        await client.chat.completions.create(model="stand-in", messages=said("nobody thought of this"))
    assert llm.asked()["busy"] == 3  # the call with a wrong key never got so far
    assert llm.paid() == {"busy": 1}


async def test_a_connection_that_is_cut(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule("before", cut_after=0, reply="a"), Rule("middle", cut_after=2, reply="a b c d"))
    with pytest.raises(openai.APIConnectionError):
        await client.chat.completions.create(model="stand-in", messages=said("before"))

    async def stream() -> None:
        answer = await client.chat.completions.create(model="stand-in", messages=said("middle"), stream=True)
        async for _ in answer:
            pass

    with pytest.raises(openai.APIConnectionError):
        await client.chat.completions.create(model="stand-in", messages=said("middle"))
    with pytest.raises(Exception) as cut:  # noqa: PT011 - the library's version 2 lets the HTTP client's error out
        await stream()
    assert isinstance(cut.value, openai.APIConnectionError) or type(cut.value).__module__.startswith("httpx")
    assert [one.outcome for one in llm.requests()] == ["cut", "cut", "cut"]


async def test_it_holds_an_answer_and_sees_a_client_that_leaves(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule("wait", reply="a b c", hold_after=1))
    leaving = asyncio.create_task(client.chat.completions.create(model="stand-in", messages=said("wait")))
    await until(lambda: [one.sent for one in llm.requests("wait")])
    leaving.cancel()
    await until(lambda: llm.requests("wait")[0].outcome == "gone", "the stand-in sees that the client left")
    llm.release()
    answer = await client.chat.completions.create(model="stand-in", messages=said("wait"))
    assert answer.choices[0].message.content == "a b c"
    assert llm.asked() == {"wait": 2} and llm.paid() == {"wait": 1}


async def test_a_hundred_clients_at_once(llm: StandIn, client: AsyncOpenAI) -> None:
    llm.script(Rule(r"(\d+)", reply=r"number \1", token_delay=0.01))
    asked = (client.chat.completions.create(model="stand-in", messages=said(f"{n}")) for n in range(100))
    answers = await asyncio.gather(*asked)
    assert [one.choices[0].message.content for one in answers] == [f"number {n}" for n in range(100)]
    assert not llm.paid_twice()
