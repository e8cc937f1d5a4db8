# SPDX-License-Identifier: Apache-2.0
"""The handler of an LLM agent alone, with the official client against the stand-in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, field_validator

from nervenet import Agent, Mesh
from nervenet.dev.servers import free_port
from nervenet.errors import ConfigError
from nervenet.integrations.llm import (
    ChatReply,
    ChatRequest,
    ContextTooLong,
    InvalidAnswer,
    KeyRefused,
    LLMError,
    Message,
    ModelNotFound,
    ModelUnavailable,
    OutputSchema,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    Tool,
    ToolCall,
    llm_agent,
)
from nervenet.payloads import InvalidPayload
from nervenet.testing import AgentTest, run_agent
from tests.frameworks.llm_server import Rule, StandIn
from tests.frameworks.llm_server import ToolCall as Called
from tests.support.waiting import until

Llm = Agent[ChatRequest, ChatReply]


@pytest.fixture
def agent(llm: StandIn, monkeypatch: pytest.MonkeyPatch) -> Llm:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    return llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url)


@pytest.mark.parametrize("stream", [True, False])
async def test_text_and_usage(llm: StandIn, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url, stream=stream)
    llm.script(Rule("sky", reply="It is blue."))
    run = await AgentTest().run(agent, ChatRequest.ask("Why the sky?", system="Be short."))
    assert run.result == ChatReply(text="It is blue.", model="stand-in", input_tokens=5, output_tokens=3)
    assert run.parts == (["It", " is", " blue."] if stream else [])
    assert (run.usage.input_tokens, run.usage.output_tokens) == (5, 3)
    assert list(run.usage.by_model) == ["stand-in"]


async def test_a_request_says_only_what_is_set(llm: StandIn, agent: Llm) -> None:
    llm.script(Rule(reply="ok"))
    await run_agent(agent, ChatRequest.ask("plain"))
    assert set(llm.requests()[0].body) == {"model", "messages", "stream", "stream_options"}
    request = ChatRequest(
        messages=[Message.user("all")],
        model="gpt-4o",
        tools=[Tool(name="look", description="Look.", parameters={})],
        tool_choice="look",
        parallel_tool_calls=False,
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=["END"],
        seed=3,
        extra={"top_k": 40},
    )
    await run_agent(agent, request)
    body = llm.requests()[1].body
    assert body["model"] == "gpt-4o" and body["top_k"] == 40 and body["max_tokens"] == 7
    assert body["temperature"] == 0 and body["seed"] == 3 and body["stop"] == ["END"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert body["parallel_tool_calls"] is False


async def test_the_token_limit_of_the_agent_and_of_a_request(llm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url, max_tokens=2)
    llm.script(Rule(reply="one two three four"))
    reply = await run_agent(agent, ChatRequest.ask("count"))
    assert (reply.text, reply.finish) == ("one two", "length")
    assert (await run_agent(agent, ChatRequest.ask("count", max_tokens=3))).text == "one two three"


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Place:
    city: str
    days: int = 1


def tools_of() -> tuple[Agent[Place, str], Agent[str, str], Agent[None, str]]:
    mesh = Mesh("tools")

    @mesh.agent
    async def forecast(place: Place) -> str:
        """Tell the weather of a city."""
        return f"rain in {place.city}"

    @mesh.agent
    async def search(text: str) -> str:
        return text

    @mesh.agent
    async def now() -> str:
        return "noon"

    return forecast, search, now


@pytest.mark.parametrize("stream", [True, False])
async def test_parallel_calls_of_agents_as_tools(llm: StandIn, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    forecast, search, now = tools = tools_of()
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url, stream=stream, tools=tools)
    calls = [Called("forecast", {"city": "Oslo", "days": 2}), Called("search", {"text": "umbrella"}), Called("now")]
    llm.script(Rule("weather", tools=calls, reply="Let me see."), Rule("noon", role="tool", reply="Take one."))
    request = ChatRequest.ask("weather?", tools=[Tool.of(one) for one in tools])
    reply = await run_agent(agent, request)
    assert reply.finish == "tool_calls" and reply.text == "Let me see."
    first, second, third = reply.tool_calls
    assert first.input(forecast) == Place("Oslo", 2)
    assert second.input(search) == "umbrella"
    assert third.input(now) is None
    with pytest.raises(InvalidPayload, match="city"):
        third.input(forecast)
    results = [
        Message.tool(call, result)
        for call, result in zip(reply.tool_calls, ["rain", {"shops": 2}, "noon"], strict=True)
    ]
    again = await run_agent(agent, request.with_messages(reply.message, *results))
    assert again.text == "Take one."
    sent = llm.requests()[1].body["messages"]
    assert [one["function"]["name"] for one in sent[1]["tool_calls"]] == ["forecast", "search", "now"]
    assert [one["tool_call_id"] for one in sent[2:]] == [one.id for one in reply.tool_calls]
    assert sent[3]["content"] == '{"shops":2}'
    offered = {one["function"]["name"]: one["function"] for one in sent and llm.requests()[0].body["tools"]}
    assert offered["forecast"]["description"] == "Tell the weather of a city."
    assert offered["forecast"]["parameters"]["properties"]["city"]["type"] == "string"
    assert offered["search"]["parameters"]["required"] == ["text"]
    assert "x-accepts-more" not in str(offered)


async def test_broken_arguments_are_tried_again(llm: StandIn, agent: Llm) -> None:
    llm.script(Rule("tools", tools=[Called("look", '{"city": "Os')]))
    run = await AgentTest().run(agent, ChatRequest.ask("tools", tools=[Tool(name="look", parameters={})]))
    assert isinstance(run.error, InvalidAnswer) and run.error.retryable
    assert run.usage.total > 0  # paid all the same


async def test_a_request_has_only_the_names_of_agents_so_that_a_changed_docstring_blocks_nothing(
    llm: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    mesh = Mesh("test")
    agent = llm_agent(mesh, model="stand-in", base_url=llm.base_url)

    @mesh.agent
    async def forecast(place: Place) -> str:
        """Tell the weather."""
        return place.city

    request = ChatRequest.ask("hi", tools=[Tool.of(forecast)])
    assert agent.input.encode(request).data.endswith(b'"tools":[{"name":"forecast"}]}')
    llm.script(Rule(reply="ok"))
    await run_agent(agent, request)
    (tool,) = llm.requests()[0].body["tools"]
    assert tool["function"]["description"] == "Tell the weather."
    assert list(tool["function"]["parameters"]["properties"]) == ["city", "days"]


async def test_a_tool_that_nobody_knows(llm: StandIn, agent: Llm) -> None:
    run = await AgentTest().run(agent, ChatRequest.ask("hi", tools=[Tool(name="look")]))
    assert isinstance(run.error, RequestRefused) and not run.error.retryable
    assert "'look'" in run.error.message and "llm_agent(tools=[…])" in run.error.message
    assert not llm.requests()


# ── structured output ────────────────────────────────────────────────────────────────────────────────────────────────


class Line(BaseModel):
    what: str
    cents: int


class Invoice(BaseModel):
    number: str
    lines: list[Line]
    note: str | None = None


async def test_an_answer_in_the_form_of_a_type(llm: StandIn, agent: Llm) -> None:
    value = {"number": "7", "lines": [{"what": "pen", "cents": 120}], "note": None}
    llm.script(Rule("invoice", json=value))
    reply = await run_agent(agent, ChatRequest.ask("invoice", output=OutputSchema.of(Invoice)))
    assert reply.parse(Invoice) == Invoice(number="7", lines=[Line(what="pen", cents=120)])
    form = llm.requests()[0].body["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["name"] == "Invoice" and form["json_schema"]["strict"]
    schema = form["json_schema"]["schema"]
    assert schema["required"] == ["number", "lines", "note"] and schema["additionalProperties"] is False
    assert schema["$defs"]["Line"]["required"] == ["what", "cents"]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(reply="Sure! Here it is."), "no JSON"),
        (Rule(json={"number": "7", "lines": [{"what": "pen", "cents": "much"}], "note": None}), "lines.0.cents"),
        (Rule(json={"number": "7"}), "required"),
    ],
)
async def test_an_answer_in_another_form_is_tried_again(llm: StandIn, agent: Llm, rule: Rule, says: str) -> None:
    llm.script(rule)
    run = await AgentTest().run(agent, ChatRequest.ask("invoice", output=OutputSchema.of(Invoice)))
    assert isinstance(run.error, InvalidAnswer) and run.error.retryable and says in run.error.message


async def test_a_type_that_a_request_names(llm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def _is_even(cls, number: int) -> int:
            assert number % 2 == 0, "it is odd"
            return number

    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url, outputs=[Even])
    llm.script(Rule("four", json={"number": 4}), Rule("five", json={"number": 5}))
    request = ChatRequest.ask("four", output="Even")
    assert agent.input.encode(request).data.endswith(b'"output":"Even"}')
    assert (await run_agent(agent, request)).parse(Even) == Even(number=4)
    run = await AgentTest().run(agent, ChatRequest.ask("five", output="Even"))
    assert isinstance(run.error, InvalidAnswer) and run.error.retryable and "it is odd" in run.error.message
    run = await AgentTest().run(agent, ChatRequest.ask("four", output="Odd"))
    assert isinstance(run.error, RequestRefused) and "llm_agent(outputs=[…])" in run.error.message


async def test_an_answer_that_the_token_limit_cuts_is_not_tried_again(llm: StandIn, agent: Llm) -> None:
    llm.script(Rule(json={"number": "7", "lines": [], "note": None}))
    run = await AgentTest().run(agent, ChatRequest.ask("x", output=OutputSchema.of(Invoice), max_tokens=2))
    assert isinstance(run.error, InvalidAnswer) and not run.error.retryable and "max_tokens" in run.error.message


def test_a_schema_with_free_keys_is_not_strict() -> None:
    class Free(BaseModel):
        counts: dict[str, int]

    assert OutputSchema.of(Invoice).strict
    assert not OutputSchema.of(Free).strict
    assert not OutputSchema.of(Invoice, strict=False).strict
    with pytest.raises(ValueError, match=r"strict=False"):
        OutputSchema.of(Free, strict=True)


def test_parse_says_what_does_not_fit() -> None:
    with pytest.raises(InvalidAnswer, match=r"no Invoice: lines: "):
        ChatReply(text='{"number": "7"}').parse(Invoice)


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_set_is_not_written(agent: Llm) -> None:
    """So a release that adds a field writes the same bytes for running workflows."""
    assert agent.input.encode(ChatRequest.ask("hi")).data == b'{"messages":[{"role":"user","content":"hi"}]}'
    assert agent.output.encode(ChatReply(text="yes", model="m")).data == b'{"text":"yes","model":"m"}'


def test_fields_of_a_newer_release_are_ignored(agent: Llm) -> None:
    payload = agent.output.encode(ChatReply(text="yes"))
    newer = payload._replace(data=b'{"text":"yes","thoughts":"long"}')
    assert agent.output.decode(newer) == ChatReply(text="yes")


def test_requests_travel_there_and_back(agent: Llm) -> None:
    call = ToolCall(id="1", name="look", arguments={"at": {"deep": [1, None]}})
    request = ChatRequest(
        messages=[Message.system("s"), Message(role="assistant", tool_calls=[call]), Message.tool(call, {"a": 1})],
        tools=[Tool(name="look", strict=True)],
        output=OutputSchema.of(Invoice),
        temperature=0.0,
    )
    assert agent.input.decode(agent.input.encode(request)) == request


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "kind", "retryable"),
    [
        (Rule(status=429, retry_after="4"), RateLimited, True),
        (Rule(status=429, code="insufficient_quota"), QuotaExceeded, False),
        (Rule(status=500), ModelUnavailable, True),
        (Rule(status=503, retry_after="4"), ModelUnavailable, True),
        (Rule(status=400), RequestRefused, False),
        (Rule(status=400, code="context_length_exceeded"), ContextTooLong, False),
        (Rule(reply="a b c d", cut_after=0), ModelUnavailable, True),
        (Rule(reply="a b c d", cut_after=2), ModelUnavailable, True),
        (Rule(reply="a b c d", error_after=2), ModelUnavailable, True),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_errors_of_the_endpoint(
    llm: StandIn, monkeypatch: pytest.MonkeyPatch, rule: Rule, kind: type[LLMError], retryable: bool, stream: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url, stream=stream)
    llm.script(rule)
    run = await AgentTest().run(agent, ChatRequest.ask("x"))
    assert type(run.error) is kind, run.error
    assert run.error.retryable is retryable
    assert run.error.retry_after == (timedelta(seconds=4) if rule.retry_after else None)
    assert run.error.__cause__ is None and run.error.__suppress_context__
    assert len(llm.requests()) == 1  # the client library did not try again


async def test_a_wrong_key_is_refused_and_shown_nowhere(llm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-0815")
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url, api_key_env="MY_KEY")
    run = await AgentTest().run(agent, ChatRequest.ask("x"))
    assert isinstance(run.error, KeyRefused)
    assert "set MY_KEY to a valid key" in run.error.message and "sk-wrong" not in str(run.error)


async def test_a_wrong_model_says_where_to_look(agent: Llm) -> None:
    run = await AgentTest().run(agent, ChatRequest.ask("x", model="gpt-0"))
    assert (
        isinstance(run.error, ModelNotFound) and "'gpt-0'" in run.error.message and "GET /models" in run.error.message
    )


async def test_a_base_url_without_v1(llm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    agent = llm_agent(Mesh("test"), model="stand-in", base_url=llm.base_url.removesuffix("/v1"))
    run = await AgentTest().run(agent, ChatRequest.ask("x"))
    assert isinstance(run.error, RequestRefused) and "/v1" in run.error.message


async def test_nobody_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    agent = llm_agent(Mesh("test"), model="m", base_url=f"http://127.0.0.1:{port}/v1", api_key_env=None)
    run = await AgentTest().run(agent, ChatRequest.ask("x"))
    assert isinstance(run.error, ModelUnavailable) and f"127.0.0.1:{port}" in run.error.message


@pytest.mark.parametrize("stream", [True, False])
async def test_an_endpoint_that_falls_silent(llm: StandIn, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llm.key)
    agent = llm_agent(
        Mesh("test"), model="stand-in", base_url=llm.base_url, stream=stream, silence=timedelta(seconds=0.3)
    )
    llm.script(Rule(reply="a b c", hold_after=1))
    run = await AgentTest().run(agent, ChatRequest.ask("x"))
    assert isinstance(run.error, ModelUnavailable) and run.error.retryable
    await until(lambda: llm.requests()[0].outcome == "gone")


async def test_a_cancelled_attempt_closes_the_connection(llm: StandIn, agent: Llm) -> None:
    llm.script(Rule(reply="a b c", hold_after=1))
    run = await AgentTest(cancel_after=timedelta(seconds=0.5)).run(agent, ChatRequest.ask("x"))
    assert isinstance(run.error, asyncio.CancelledError)
    assert run.parts == ["a"]
    await until(lambda: llm.requests()[0].outcome == "gone", "the stand-in sees that the client left")


async def test_attributes_of_the_conventions_for_generative_ai_are_on_the_span(llm: StandIn, agent: Llm) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    llm.script(Rule(reply="a b"))
    with TracerProvider().get_tracer("test").start_as_current_span("process queue:llm") as span:
        await run_agent(agent, ChatRequest.ask("why so"))
    assert dict(getattr(span, "attributes")) == {  # noqa: B009 - the API's type does not know it
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "stand-in",
        "gen_ai.response.model": "stand-in",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 2,
        "gen_ai.usage.output_tokens": 2,
    }


async def test_a_server_without_usage(llm: StandIn, agent: Llm) -> None:
    llm.script(Rule(reply="a b", usage=False))
    run = await AgentTest().run(agent, ChatRequest.ask("x"))
    assert run.result.text == "a b" and run.result.output_tokens == 0 and run.usage.total == 0


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = llm_agent(Mesh("test"), model="m", name="writer")
    with pytest.raises(ConfigError, match=r"'writer' has no API key: set OPENAI_API_KEY"):
        await run_agent(agent, ChatRequest.ask("x"))


async def test_a_client_of_ones_own(llm: StandIn) -> None:
    def client() -> AsyncOpenAI:
        return AsyncOpenAI(base_url=llm.base_url, api_key=llm.key, default_headers={"x-team": "legal"}, max_retries=9)

    agent = llm_agent(Mesh("test"), model="stand-in", client=client)
    llm.script(Rule("busy", status=500), Rule(reply="ok"))
    assert (await run_agent(agent, ChatRequest.ask("x"))).text == "ok"
    assert llm.requests()[0].headers["x-team"] == "legal"
    run = await AgentTest().run(agent, ChatRequest.ask("busy"))
    assert isinstance(run.error, ModelUnavailable) and llm.asked()["busy"] == 1


def test_options_of_the_user_stand_above_ours() -> None:
    from nervenet import CallOptions, RetryPolicy, Timeouts

    plain = llm_agent(Mesh("test"), model="m")
    assert plain.options is not None and plain.options.resolve().max_attempts == 8
    wide = CallOptions(timeouts=Timeouts(attempt=timedelta(minutes=2)))
    own = llm_agent(Mesh("test"), model="m", options=wide)
    assert own.options is not None and own.options.resolve().max_attempts == 8
    assert own.options.resolve().attempt_ms == 120_000
    strict = CallOptions(retry=RetryPolicy(max_attempts=2))
    few = llm_agent(Mesh("test"), model="m", options=strict)
    assert few.options is not None and few.options.resolve().max_attempts == 2
    with pytest.raises(ValueError, match="silence"):
        llm_agent(Mesh("test"), model="m", silence=timedelta(0))


def test_several_models_in_one_mesh() -> None:
    mesh = Mesh("test")
    llm_agent(mesh, model="a", name="fast")
    llm_agent(mesh, model="b", name="deep")
    assert list(mesh.agents) == ["fast", "deep"]
    with pytest.raises(ValueError, match="fast"):
        llm_agent(mesh, model="c", name="fast")


def test_nothing_is_imported_before_an_agent_starts() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from nervenet import Mesh; from nervenet.integrations.llm import llm_agent; "
        "llm_agent(Mesh('m'), model='x'); print('openai' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
