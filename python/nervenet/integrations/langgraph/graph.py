# SPDX-License-Identifier: Apache-2.0
"""A compiled graph on a mesh: its agents, its workflow, and what people see of its runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from nervenet import Agent, CallOptions, Client, Context, Mesh, Signal, Workflow, WorkflowHandle
from nervenet.integrations.langgraph.classes import classes_of
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.conversation import Conversation, GraphOfTurns, WhileBusy
from nervenet.integrations.langgraph.output import Output
from nervenet.integrations.langgraph.readable import readable
from nervenet.integrations.langgraph.rebuild import refuse
from nervenet.integrations.langgraph.registration import register
from nervenet.integrations.langgraph.run import Outcome, output_of, run_graph
from nervenet.integrations.langgraph.watch import watched
from nervenet.integrations.refusals import NotSupported, caller
from nervenet.integrations.user_workflow import as_workflow

if TYPE_CHECKING:
    from nervenet.integrations.langgraph.steps import GraphStep
    from nervenet.testing import Journal

CALL = "call"
"""The tag of an input that `encode` made."""


def durable_graph(
    mesh: Mesh,
    compiled: CompiledStateGraph[Any, Any, Any, Any],
    *,
    name: str,
    options: Mapping[str, CallOptions] | None = None,
    slots: Mapping[str, int] | int = 10,
    local: Collection[str] = (),
    inline: Collection[str] = (),
    types: Collection[type] = (),
    stream: Sequence[str] = ("custom", "messages"),
    publish: bool = True,
) -> DurableGraph:
    """Make each node of a graph an agent of the mesh, and give what runs the graph in a workflow.

        graph = durable_graph(mesh, builder.compile(), name="desk", slots={"model": 4})

    Nodes in subgraphs are named by their path: `research/search`.

    Args:
        mesh: The mesh that gets the agents `<name>-<node>`.
        compiled: What `StateGraph(…).compile()` or `create_agent(…)` returned, without a checkpointer.
        name: Name of the graph in the mesh. Letters, digits, `_` and `-`, a letter first.
        options: Options of the calls of a node, stronger than its retry policy and its timeout.
        slots: Attempts that one agent process runs at the same time: of each node, or of the nodes that are named.
        local: Nodes that run in the workflow itself: quick functions of the state alone, without I/O, clock and chance.
        inline: Subgraphs that run as one task of one agent. The nodes of other subgraphs are capabilities of their own.
        types: Classes that may be in the state and that its schemas do not name.
        stream: What agents stream to watchers: "custom" (`get_stream_writer`), "messages" (tokens of models).
        publish: Whether the state is the view of the workflow after each step (`get_state`, `astream`).

    Returns:
        The durable graph.

    Raises:
        NotSupported: The graph uses something that is not supported. The message names the line and the cure.
    """
    refuse(compiled, name)
    return DurableGraph(
        mesh,
        compiled,
        name,
        dict(options or {}),
        slots,
        frozenset(local),
        frozenset(inline),
        types,
        tuple(stream),
        publish,
    )


class DurableGraph:
    """A graph whose nodes run on agents and whose loop runs in workflows. Made by `durable_graph`.

    Attributes:
        name: Name of the graph in the mesh.
        compiled: The user's graph.
        agents: The agent of each node, by path.
        values: How its values travel.
    """

    def __init__(
        self,
        mesh: Mesh,
        compiled: CompiledStateGraph[Any, Any, Any, Any],
        name: str,
        options: Mapping[str, CallOptions],
        slots: Mapping[str, int] | int,
        local: frozenset[str],
        inline: frozenset[str],
        types: Collection[type],
        stream: tuple[str, ...],
        publish: bool,
    ) -> None:
        self.name, self.compiled = name, compiled
        self.values = Values(classes_of(compiled, types))
        self._output = Output(self.values, compiled.builder.output_schema)
        self._mesh, self._publish = mesh, publish
        registered = register(mesh, compiled, name, self.values, options, slots, local, inline, stream)
        self.agents: dict[str, Agent[Any, Any]] = registered.agents
        self._graph = registered.graph

    def __repr__(self) -> str:
        return f"<DurableGraph {self.name} of {', '.join(self.agents)}>"

    # ── in a workflow ────────────────────────────────────────────────────────────────────────────────────────────────

    async def ainvoke(
        self,
        ctx: Context,
        input: Any,
        /,
        *,
        config: RunnableConfig | None = None,
        context: Any = None,
        state: Any = None,
    ) -> Any:
        """Run the graph in the workflow that `ctx` belongs to.

        Args:
            ctx: The first parameter of the workflow.
            input: The graph's input.
            config: Tags, metadata, recursion limit and `configurable` of the user. Callbacks are not used.
            context: The graph's runtime context. It travels by value.
            state: The state to begin with, from `advance`: the input is applied to it, as to a thread.

        Returns:
            The output, as `compiled.ainvoke` returns it.

        Raises:
            CallFailed: A node failed for good.
            NotEncodable: A value cannot travel to an agent.
        """
        return (await self.advance(ctx, input, config=config, context=context, state=state)).output

    async def advance(
        self,
        ctx: Context,
        input: Any,
        /,
        *,
        config: RunnableConfig | None = None,
        context: Any = None,
        state: Any = None,
    ) -> Outcome:
        """The same, with the whole state: what the next run of this thread begins with.

            outcome = await graph.advance(ctx, {"messages": [message]}, state=outcome.state)

        Args:
            ctx: The first parameter of the workflow.
            input: The graph's input.
            config: As for `ainvoke`.
            context: The graph's runtime context.
            state: The state of an earlier run.

        Returns:
            Output and state.
        """
        view = self._shown if self._publish else None
        return await run_graph(self._graph, self.values, ctx, input, config, context, state, view)

    def workflow(self, *, name: str | None = None, version: int = 1, variable: str | None = None) -> Workflow[Any, Any]:
        """A workflow that runs the graph once: `desk = graph.workflow()`.

        It takes the graph's input as JSON and returns its output as JSON (`readable` messages). An input from
        `encode` returns what `decode` turns into Python objects again.

        Args:
            name: Name of the workflow. Default: the name of the graph.
            version: Version of the workflow.
            variable: The variable at the top of your module that holds the workflow, if it is not its name. The replay
                check looks for it there.
        """

        async def run(ctx: Context, input: Any) -> Any:
            """Run the graph once."""
            called = input if isinstance(input, dict) and input.get("~") == CALL else None
            given = self.values.decode(called["input"] if called else input)
            config, context = (self.values.decode((called or {}).get(key)) for key in ("config", "context"))
            output = await self.ainvoke(ctx, given, config=config, context=context)
            return self._output.encode(output) if called else readable(self._output.trimmed(output))

        return as_workflow(self._mesh, run, name or self.name, version, variable, None)

    def conversation(
        self, *, name: str, while_busy: WhileBusy = "enqueue", version: int = 1, turns_per_run: int = 50
    ) -> Conversation:
        """A thread with many turns, as a workflow that lives until it is cancelled. See `Conversation`.

        Args:
            name: Name of the workflow. Its turns are workflows named `<name>-turn`.
            while_busy: What happens to a message while a turn runs: "enqueue", "reject" or "interrupt".
            version: Version of the workflows.
            turns_per_run: Turns after which the workflow continues as new, so that its journal stays short.
        """

        def add_workflow(run: Any, name: str, version: int, signals: Collection[Signal[Any]]) -> Workflow[Any, Any]:
            return as_workflow(self._mesh, run, name, version, None, signals)

        graph = GraphOfTurns(self.name, self.values, self.encode, add_workflow, self._run_turn, self._output_of)
        return Conversation(graph, name, while_busy, version, turns_per_run)

    # ── outside ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def encode(self, input: Any, /, *, config: RunnableConfig | None = None, context: Any = None) -> Any:
        """Python objects as the input of `workflow()`: `client.start(desk, graph.encode({"messages": [HumanMessage("hi")]}))`.

        Args:
            input: The graph's input.
            config: As for `ainvoke`.
            context: The graph's runtime context.
        """
        said = {"input": self.values.encode(input)}
        said |= {} if config is None else {"config": self.values.encode(dict(config))}
        said |= {} if context is None else {"context": self.values.encode(context)}
        return {"~": CALL, **said}

    def decode(self, result: Any, /) -> Any:
        """The output of a workflow that was started with `encode`, as Python objects.

        Args:
            result: What `WorkflowHandle.result` returned.
        """
        return self._output.decode(result)

    async def get_state(self, client: Client, id: str, /) -> Any:
        """The state that the workflow published last. None: it has published none, or the state is above 64 KiB.

        Args:
            client: A client of the mesh.
            id: The workflow's id.
        """
        view = (await client.handle(id).info()).view
        return self.values.decode(view["values"]) if isinstance(view, dict) and view.get("values") is not None else None

    def astream(
        self, client: Client, handle: WorkflowHandle[Any], /, *, modes: Collection[str] | None = None
    ) -> AsyncIterator[tuple[str, Any]]:
        """What happens in a run of the graph, as pairs of mode and data, until the workflow ends.

        - `updates`: `{node: what it returned}`, once for each task.
        - `values`: the state after a step. Steps that follow each other quickly may be shown as one.
        - `messages`: `(chunk, about)` for each token, with the node in `about["langgraph_node"]`.
        - `custom`: what a node wrote with `get_stream_writer()`.
        - `interrupt`: a question to a human: id, question, context.
        - `restart`: a node begins again after a failure, a crash or an answer: drop what it streamed before.

        Args:
            client: A client of the mesh.
            handle: The workflow.
            modes: The modes that are wanted. Default: all.
        """
        return watched(self.values, self.agents, client, handle, modes)

    def history(self, journal: Journal, /, *, workflow: Workflow[Any, Any] | None = None) -> list[GraphStep]:
        """The state after every step, exactly, from the journal of a run.

        Args:
            journal: `Journal.load("desk-7.json")` of a file from `nervenet journal export`.
            workflow: The workflow that the journal is of. Default: the one of `workflow()`.

        Raises:
            AssertionError: Code and journal disagree.
        """
        from nervenet.integrations.langgraph.steps import history

        if workflow is None:
            found = [one for (name, _), one in sorted(self._mesh.workflows.items()) if name == self.name]
            if not found:
                raise NotSupported(
                    f"{caller()}: there is no workflow {self.name!r}: graph.history(journal, workflow=…)"
                )
            workflow = found[-1]
        return history(workflow, journal)

    def _shown(self, view: Mapping[str, Any]) -> Any:
        """What is published after a step."""
        return {"graph": self.name, **view}

    def _output_of(self, state: Any) -> Any:
        """The output that belongs to a state."""
        return output_of(self._graph, state)

    async def _run_turn(
        self, ctx: Context, call: Mapping[str, Any], state: Any, seen: Callable[[Any], None]
    ) -> Outcome:
        """One turn of a conversation, from an input that `encode` made."""
        given, config, context = (self.values.decode(call.get(key)) for key in ("input", "config", "context"))
        view = self._shown if self._publish else None
        return await run_graph(self._graph, self.values, ctx, given, config, context, state, view, seen)
