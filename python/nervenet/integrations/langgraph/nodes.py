# SPDX-License-Identifier: Apache-2.0
"""The agent's side: one node of the graph as a handler.

The node runs in a graph of its own, with this node alone, so that it finds what LangGraph gives every node: config, writer, store,
context, `interrupt()`, tasks. What it streams goes to watchers with `task.emit`. A request and its answer are JSON:

    {"input": …, "context"?: …, "config"?: …, "state"?: …, "answers"?: […], "error"?: [node, type, message]}
    {"value": …}                                     what the node returned
    {"interrupts": [[value, schema or null], …]}     it called interrupt() and no answer was left
    {"invalid": "…"}                                 the last answer does not fit its response_schema
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import set_config_context
from langgraph import errors
from langgraph.errors import GraphInterrupt, ParentCommand
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import ValidationError

from nervenet import AgentError, Escalate, Task
from nervenet.integrations.langgraph import internals
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.policies import idle_timeout_of, may_retry, policies_of
from nervenet.integrations.langgraph.readable import readable
from nervenet.integrations.langgraph.refusals import line_of
from nervenet.integrations.refusals import NotEncodable

Request = Mapping[str, Any]
_is_invalid_resume: Callable[[BaseException], bool] = getattr(errors, "is_invalid_resume", lambda _: False)


class Box(TypedDict, total=False):
    """The state of the graph of one node. The keys are names that no node has."""

    nervenet_request: Any
    nervenet_answer: Any


@dataclass(frozen=True)
class NodeHandler:
    """Runs one node. `handler` is what `mesh.agent` takes.

    Attributes:
        path: The node, below its subgraphs: `research/search`.
        spec: LangGraph's specification of it.
        root: The compiled graph, for store, context schema and config.
        values: The codec of the graph.
        stream: The stream modes that are sent to watchers: "custom", "messages".
    """

    path: str
    spec: Any
    root: CompiledStateGraph[Any, Any, Any, Any]
    values: Values
    stream: tuple[str, ...]

    def handler(self) -> Callable[[Task[None], dict[str, Any]], Any]:
        """The coroutine function of the agent."""
        alone = self._alone()
        policies = policies_of(self.spec)

        async def node(task: Task[None], request: dict[str, Any]) -> dict[str, Any]:
            try:
                return await self._run(alone, task, request)
            except Escalate as asked:
                raise self._escalated(asked) from None
            except NotEncodable as error:
                raise AgentError(
                    f"node {self.path!r}{self._at()}: {error}", type="NotEncodable", retryable=False
                ) from error
            except Exception as error:
                if policies and not may_retry(policies, error):
                    raise AgentError(str(error), type=type(error).__name__, retryable=False) from error
                raise

        function = getattr(self.spec.runnable, "func", None) or getattr(self.spec.runnable, "afunc", None)
        node.__doc__ = (
            getattr(function, "__doc__", None) or f"Node {self.path!r} of graph {self.root.name!r}{self._at()}."
        )
        return node

    def _escalated(self, asked: Escalate) -> Escalate:
        """The same question, whose suggestion is an update of this node, as the step's outcome has it."""
        suggestion = None if asked.suggestion is None else {"value": self.values.encode(asked.suggestion)}
        context, limit = readable(asked.context), asked.deadline
        return Escalate(asked.question, choices=asked.choices, suggestion=suggestion, context=context, deadline=limit)

    def _at(self) -> str:
        line = line_of(self.spec.runnable)
        return f" ({line})" if line else ""

    async def _run(self, alone: Any, task: Task[None], request: Request) -> dict[str, Any]:
        given = {key: self.values.decode(request[key]) for key in ("input", "context", "state") if key in request}
        given["answers"] = [self.values.decode(one) for one in request.get("answers", ())]
        given["error"] = request.get("error")
        config = self._config(task, self.values.decode(request.get("config") or {}))
        answer: dict[str, Any] | None = None
        modes = ["values", *self.stream]
        box = {"nervenet_request": given}
        async for mode, chunk in alone.astream(box, config, context=given.get("context"), stream_mode=modes):
            if mode == "values":
                answer = chunk.get("nervenet_answer", answer)
            else:
                task.emit({"mode": mode, "node": self.path, "data": self._piece(mode, chunk)})
        assert answer is not None
        if "value" in answer:
            return {"value": self.values.encode(answer["value"])}
        return answer

    def _config(self, task: Task[None], given: Mapping[str, Any]) -> RunnableConfig:
        own = internals.settings(self.root)
        merged: dict[str, Any] = {**own, **given}
        merged["metadata"] = {**own.get("metadata", {}), **given.get("metadata", {}), "nervenet_task": task.id}
        merged["tags"] = [*own.get("tags", ()), *given.get("tags", ())]
        configurable = {**own.get("configurable", {}), **given.get("configurable", {})}
        merged["configurable"] = {"thread_id": task.workflow_id, **configurable}
        config: RunnableConfig = merged  # type: ignore[assignment]  # a TypedDict of optional keys
        return config

    def _piece(self, mode: str, chunk: Any) -> Any:
        """What a watcher gets: a token with a few words about it, or what the node wrote."""
        if mode == "messages":
            message, about = chunk
            said = {key: about[key] for key in ("langgraph_node", "tags") if about.get(key)}
            chunk = (message, said)
        try:
            return self.values.encode(chunk)
        except NotEncodable:
            return readable(chunk)

    def _alone(self) -> Any:
        """The graph of this node alone."""
        name, bound, values = self.path.rpartition("/")[2], self.spec.runnable, self.values

        async def node(box: Box, config: RunnableConfig) -> Any:
            return {"nervenet_answer": await _answer(bound, box.get("nervenet_request", {}), config, values)}

        graph = StateGraph(Box, context_schema=self.root.context_schema)
        idle = idle_timeout_of(self.spec)
        add: Any = graph.add_node  # `timeout` is new in 1.1
        add(name, node, **({} if idle is None else {"timeout": idle}))
        graph.add_edge(START, name)
        graph.add_edge(name, END)
        return graph.compile(store=self.root.store)


async def _answer(
    bound: Runnable[Any, Any], given: Mapping[str, Any], config: RunnableConfig, values: Values
) -> dict[str, Any]:
    """Run the node's function once, with the answers that people have given so far."""
    answers = list(given["answers"])

    def next_answer(consume: bool = False) -> Any:
        if not answers:
            return None
        return answers.pop(0) if consume else answers[0]

    conf = internals.with_answers(config, next_answer)
    if "state" in given:
        conf[internals.READ_STATE] = lambda: given["state"]
    if given["error"] is not None:
        conf[internals.NODE_ERROR] = _node_error(given["error"])
    there: RunnableConfig = {**config, "configurable": conf}
    try:
        with set_config_context(there) as context:  # what interrupt() and get_stream_writer() look at
            value = await asyncio.create_task(bound.ainvoke(given["input"], there), context=context)
    except GraphInterrupt as asked:
        return {"interrupts": _questions(asked.args[0], values)}
    except ParentCommand as up:  # a graph called inside this node speaks to this node's graph
        return {"value": internals.to_this_graph(up.args[0])}
    except ValidationError as wrong:
        if not _is_invalid_resume(wrong):
            raise
        return {"invalid": str(wrong)}
    return {"value": value}


def _questions(interrupts: Sequence[Any], values: Values) -> list[list[Any]]:
    if len(interrupts) > 1:
        raise AgentError(
            "several nodes of a graph that is called inside a node ask at the same time, and their answers could be mixed "
            "up: add that graph as a node, add_node(name, graph), then each of its nodes asks for itself",
            type="NotSupported",
            retryable=False,
        )
    return [[values.encode(one.value), getattr(one, "response_schema", None)] for one in interrupts]


def _node_error(said: Sequence[str]) -> Any:
    """What an error handler gets: a builtin exception as itself, any other one as an AgentError with its type's name."""
    node, kind, message = said
    made: Any = getattr(builtins, kind, None)
    plain = isinstance(made, type) and issubclass(made, Exception)
    error = made(message) if plain else AgentError(message, type=kind)
    return errors.NodeError(node=node, error=error)
