# SPDX-License-Identifier: Apache-2.0
"""The workflow's side: what is in the rebuilt graph in place of functions.

`RemoteNode` makes the node's work a task for an agent. `InWorkflow` calls a function where the workflow runs: a conditional edge,
or a node that the user made local. `stable` gives messages ids that are the same in each replay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.types import Command, Send
from pydantic import WithJsonSchema

from nervenet import Agent, CallFailed, CallOptions, Context
from nervenet.integrations.langgraph import internals
from nervenet.integrations.langgraph.answers import is_reply, update_of
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.readable import readable
from nervenet.integrations.langgraph.refusals import placed
from nervenet.integrations.refusals import NotEncodable, NotSupported

CONTEXT_LIMIT = 16 << 10
"""A question carries the state of its node as context if that is not larger, in bytes of JSON."""
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class GraphRun:
    """One run of the graph in one workflow, where the stubs find it.

    Attributes:
        ctx: The workflow.
        request: What every request to a node carries: context and config, if there are any.
    """

    ctx: Context
    request: Mapping[str, Any]


CURRENT: ContextVar[GraphRun] = ContextVar("nervenet-langgraph-run")


class RemoteNode(Runnable[Any, Any]):
    """A node whose function runs in an agent.

    Args:
        path: The node, below its subgraphs.
        agent: The capability.
        options: Options of its calls.
        values: The codec of the graph.
        wants_state: Whether it reads the graph's state behind a Send (ToolNode).
        before: Whether a human must allow it (`interrupt_before`).
        after: Whether a human must allow what follows (`interrupt_after`).
        where: The line of the node's function, in brackets.
        channels: The channels of the node's graph, which an answer of a human in place of the node may update.
    """

    def __init__(
        self,
        path: str,
        agent: Agent[Any, Any],
        options: CallOptions,
        values: Values,
        *,
        wants_state: bool = False,
        before: bool = False,
        after: bool = False,
        where: str = "",
        channels: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = path.rpartition("/")[2]
        self.path, self.agent, self.options, self.values = path, agent, options, values
        self.wants_state, self.before, self.after, self.where = wants_state, before, after, where
        self.channels = channels or {}

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Refused: workflows are asynchronous."""
        raise NotSupported("this graph runs in a workflow: await graph.ainvoke(ctx, …)")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Call the agent until the node has its value; questions of the node go to people in between."""
        run = CURRENT.get()
        if self.before:
            await self._allow(run.ctx, f"Run {self.name}?", input)
        request = {**run.request, **self._request(input, cast("Mapping[str, Any]", config or {}))}
        answers: list[Any] = []
        questions: list[Any] = []
        while True:
            reply = await run.ctx.call(
                self.agent, {**request, "answers": answers} if answers else request, options=self.options
            )
            if "value" in reply or not is_reply(reply):
                break
            wrong = reply.get("invalid", "")
            if wrong:  # the same question again: the last answer does not count
                answers = answers[: -len(questions)]
            questions = reply.get("interrupts") or questions
            said = [await self._ask(run.ctx, value, schema, wrong) for value, schema in questions]
            answers = [*answers, *said]
        value = self._value(reply)
        if self.after:
            await self._allow(run.ctx, f"Go on after {self.name}?", value)
        return value

    def _value(self, reply: dict[str, Any]) -> Any:
        if is_reply(reply):
            return self.values.decode(reply["value"])
        return update_of(self.values.decode(reply), self.channels, f"{self.path!r}{self.where}")  # a human answered

    def _request(self, input: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        configurable = config.get("configurable", {})
        request = {"input": self._encoded("input", input)}
        read = configurable.get(internals.READ_STATE)
        if self.wants_state and read is not None:
            request["state"] = self._encoded("state", read())
        error = configurable.get(internals.NODE_ERROR)
        if error is not None:
            failed = error.error
            failure = failed.failure if isinstance(failed, CallFailed) else None
            kind = failure.type or str(failure.code) if failure else type(failed).__name__
            request["error"] = [error.node, kind, failure.message if failure else str(failed)]
        return request

    def _encoded(self, what: str, value: Any) -> Any:
        try:
            return self.values.encode(value)
        except NotEncodable as error:
            raise NotEncodable(f"{what} of node {self.path!r}{self.where}: {error}") from None

    async def _ask(self, ctx: Context, value: Any, schema: Any, wrong: str) -> Any:
        plain = readable(self.values.decode(value))
        answer: Any = Any if schema is None else Annotated[Any, WithJsonSchema(schema)]
        context = {"asks": plain, "wrong": wrong} if wrong else plain
        said = await ctx.ask(_words(plain) or f"{self.name} asks", answer=answer, context=context)
        return self.values.encode(said.value)

    async def _allow(self, ctx: Context, question: str, value: Any) -> None:
        shown = readable(value)
        small = len(json.dumps(shown, default=str)) <= CONTEXT_LIMIT
        await ctx.ask(question, choices=["continue"], context=shown if small else None)


class InWorkflow(Runnable[Any, Any]):
    """A function that runs in the workflow. It must depend on its arguments alone."""

    def __init__(self, inner: Any, what: str) -> None:
        self.inner, self.what = inner, what
        self.name = getattr(inner, "name", None)
        self.func, self.afunc = getattr(inner, "func", None), getattr(inner, "afunc", None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Call it."""
        return self._checked(self.inner.invoke(input, config, **kwargs))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Call it here, without a thread; a coroutine function is awaited."""
        try:
            only_async = getattr(self.inner, "func", None) is None and getattr(self.inner, "afunc", None) is not None
            result = (
                await self.inner.ainvoke(input, config, **kwargs)
                if only_async
                else self.inner.invoke(input, config, **kwargs)
            )
        except GraphInterrupt:
            raise NotSupported(
                f"{self.what}{placed(self.inner)} calls interrupt() in the workflow: take it out of local=, so that an agent runs it"
            ) from None
        return self._checked(result)

    def _checked(self, result: Any) -> Any:
        for one in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(one, Send) and getattr(one, "timeout", None) is not None:
                raise NotSupported(
                    f"{self.what}{placed(self.inner)} returns Send({one.node!r}, …, timeout=…): give the timeout to the node, "
                    "add_node(…, timeout=…)"
                )
        return result


def stable(operator: Callable[[Any, Any], Any], *, missing: bool = False) -> Callable[[Any, Any], Any]:
    """A reducer after which new messages have ids of `ctx.uuid()`.

    `add_messages` gives an id of `uuid.uuid4()` to each message without one, which would be another id in each replay. So an
    id of that kind which neither argument had is replaced. It covers reducers of the user that call `add_messages` as well.

    Args:
        operator: The reducer.
        missing: Whether messages that come out without an id get one too, as LangGraph does for a DeltaChannel.
    """

    def reduce(left: Any, right: Any) -> Any:
        run = CURRENT.get(None)
        if run is None:
            return operator(left, right)
        given = {message.id for message in _messages(right) if message.id}
        result = operator(left, right)
        fresh = [
            one
            for one in _messages(_added(left, result))
            if (one.id not in given and _UUID4.fullmatch(one.id) if one.id else missing)
        ]
        known = {message.id for message in _messages(left) if message.id} if fresh else given
        for message in fresh:
            if message.id not in known:
                message.id = str(run.ctx.uuid())
                known.add(message.id)
        return result

    reduce.__name__ = getattr(operator, "__name__", "reduce")
    return reduce


def _added(left: Any, result: Any) -> Any:
    """What a list has behind what it had before. Lists of thousands grow in one step, item by item."""
    if isinstance(left, list) and isinstance(result, list) and result[: len(left)] == left:
        return result[len(left) :]
    return result


def _messages(value: Any) -> Iterator[BaseMessage]:
    """All messages in a value."""
    if isinstance(value, BaseMessage):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _messages(one)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from _messages(one)
    elif isinstance(value, Command):
        yield from _messages(value.update)


def _words(asked: Any) -> str:
    """The question in an interrupt's value: the value itself, one of its usual fields, or what langchain's
    HumanInTheLoopMiddleware describes."""
    if isinstance(asked, str):
        return asked
    if not isinstance(asked, Mapping):
        return ""
    actions = asked.get("action_requests")
    if isinstance(actions, list):
        return "\n".join(_words(one) for one in actions)
    return next((asked[key] for key in ("question", "message", "description") if isinstance(asked.get(key), str)), "")
