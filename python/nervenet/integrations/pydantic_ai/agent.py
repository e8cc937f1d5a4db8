# SPDX-License-Identifier: Apache-2.0
"""A Pydantic AI agent on a mesh: its capabilities, its workflow, and what people see of its runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.durable_exec import DurableRunContext
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserContent
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResult
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from nervenet import Agent, CallOptions, Context, Mesh, Workflow, WorkflowHandle
from nervenet.integrations.pydantic_ai.approvals import AskPeople
from nervenet.integrations.pydantic_ai.backend import Backend
from nervenet.integrations.pydantic_ai.definitions import Definitions
from nervenet.integrations.pydantic_ai.durability import SPEC, NervenetDurability
from nervenet.integrations.pydantic_ai.encoding import CODEC, decoded, encoded
from nervenet.integrations.pydantic_ai.names import HOOKS, MODEL, TOOLS
from nervenet.integrations.pydantic_ai.output import Outputs
from nervenet.integrations.pydantic_ai.refusals import PYDANTIC_AI
from nervenet.integrations.pydantic_ai.running import WORKFLOW
from nervenet.integrations.pydantic_ai.tool_names import ToolNames
from nervenet.integrations.pydantic_ai.transports import Contexts, Transports
from nervenet.integrations.refusals import NotSupported, caller
from nervenet.integrations.user_workflow import as_workflow

DepsT = TypeVar("DepsT")
OutputT = TypeVar("OutputT")
_MESSAGES = list[ModelMessage]
_NOTHING: Any = None
"""The dependencies of an agent that has none, as Pydantic AI has it."""


def durable_agent(
    mesh: Mesh,
    agent: PydanticAgent[DepsT, OutputT],
    *,
    name: str,
    options: Mapping[str, CallOptions] | None = None,
    slots: Mapping[str, int] | int = 10,
    local: Collection[str] = (),
    models: Mapping[str, Model] | None = None,
    stream: bool = True,
    approvals: bool = True,
    approval_deadline: timedelta | None = None,
    run_context: type[DurableRunContext[DepsT]] | None = None,
) -> DurableAgent[DepsT, OutputT]:
    """Make the model and the toolsets of an agent capabilities of a mesh, and give what runs its loop in a workflow.

        desk = durable_agent(mesh, agent, name="desk", slots={"model": 4})

    Args:
        mesh: The mesh that gets the capabilities `<name>-model`, `<name>-tools` and `<name>-<toolset id>`.
        agent: The agent, with all its tools and toolsets. Toolsets need an `id`.
        name: Name of the agent in the mesh. Letters, digits, `_` and `-`, a letter first.
        options: Options of calls, by "model", "tools", the id of a toolset, or the name of a function tool: its own, or
            the one with a prefix that the model sees. Tools of MCP servers and dynamic toolsets go by the toolset's id.
        slots: Attempts that one agent process runs at the same time: of each capability, or by "model", "tools" or id.
        local: Function tools that run in the workflow itself, by the same names: quick `async def` functions without I/O,
            clock and chance.
        models: Models that `run(model="small")` may choose.
        stream: Whether models are asked for streams, whose events go to watchers (`astream`).
        approvals: Whether calls that need approval, or whose results come from outside, are questions to people. False:
            the run ends with `DeferredToolRequests`, as without nervenet.
        approval_deadline: How long such a question stays open. After that the call counts as denied. None: no limit.
        run_context: A subclass of `DurableRunContext` that carries more to tools.

    Returns:
        The durable agent.

    Raises:
        NotSupported: The agent uses something that is not supported. The message names the line and the cure.
    """
    PYDANTIC_AI.require()
    deps_type: Any = agent.deps_type
    _check_deps(deps_type)
    context_type: type[DurableRunContext[Any]] = run_context or DurableRunContext

    tools = ToolNames(agent)

    def make_backend(bound: Any) -> Backend:
        contexts = Contexts(bound, SPEC, deps_type, context_type)
        transports = Transports(contexts, Definitions(bound), SPEC)
        return Backend(mesh, name, transports, dict(options or {}), slots, frozenset(local), tools)

    durability = NervenetDurability(
        name=name, make_backend=make_backend, models=models, stream=stream, deadline=approval_deadline
    )
    try:
        capability = durability.for_agent(agent)
    except UserError as error:
        raise NotSupported(f"{caller()}: {error}") from None
    if not isinstance(capability, NervenetDurability):
        raise NotSupported(
            f"{caller()}: agent {name!r} has a workspace, which is not durable on nervenet yet: take the capability that "
            "supplies it off the agent, and open the workspace in a tool"
        )
    backend = capability.get_durable_operation_backend()
    known = {MODEL, TOOLS, HOOKS, *backend.agents}
    _refuse_unknown("slots", () if isinstance(slots, int) else slots, known)
    _refuse_unknown("options", options or (), known | tools.names, tools.listed_later)
    _refuse_unknown("local", local, tools.names, tools.listed_later)
    people = AskPeople(approval_deadline) if approvals else None
    return DurableAgent(mesh, agent, name, capability, people, backend.agents)


class DurableAgent(Generic[DepsT, OutputT]):
    """An agent whose requests and tools run on agents of a mesh and whose loop runs in workflows. Made by `durable_agent`.

    Attributes:
        name: Name of the agent in the mesh.
        agent: The user's agent.
        agents: The capabilities, by "model", "tools" or the id of the toolset.
    """

    def __init__(
        self,
        mesh: Mesh,
        agent: PydanticAgent[DepsT, OutputT],
        name: str,
        durability: NervenetDurability,
        people: AskPeople | None,
        agents: Mapping[str, Agent[Any, Any]],
    ) -> None:
        self.name, self.agent, self.agents = name, agent, dict(agents)
        self._mesh, self._outputs = mesh, Outputs(agent.output_type)
        self._capabilities: list[AbstractCapability[Any]] = [durability, *([] if people is None else [people])]

    def __repr__(self) -> str:
        return f"<DurableAgent {self.name} of {', '.join(one.name for one in self.agents.values())}>"

    # ── in a workflow ────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(
        self,
        ctx: Context,
        prompt: str | Sequence[UserContent] | None = None,
        /,
        *,
        deps: DepsT = _NOTHING,
        message_history: Sequence[ModelMessage] | Sequence[Mapping[str, Any]] | None = None,
        model: str | None = None,
        model_settings: ModelSettings | None = None,
        usage_limits: UsageLimits | None = None,
    ) -> AgentRunResult[OutputT]:
        """Run the agent in the workflow that `ctx` belongs to.

        Args:
            ctx: The first parameter of the workflow.
            prompt: What the user says.
            deps: The dependencies. They travel by value.
            message_history: The messages so far, from `result.all_messages()` or `dump`.
            model: One of `models`, or the name of a model that Pydantic AI knows.
            model_settings: As for `Agent.run`.
            usage_limits: As for `Agent.run`.

        Returns:
            What `Agent.run` returns. Its ids and times are the same on every replay.

        Raises:
            ModelAPIError: A request to the model failed for good.
            CallFailed: A tool failed for good.
            NotEncodable: A value cannot travel to an agent.
        """
        began = ctx.now()
        history: Any = None if message_history is None else self.load(message_history)
        token = WORKFLOW.set(ctx)
        try:
            result: Any = await self.agent.run(
                prompt,
                deps=deps,
                message_history=history,
                model=model,
                model_settings=model_settings,
                usage_limits=usage_limits,
                capabilities=self._capabilities,
            )
        finally:
            WORKFLOW.reset(token)
        _stamp(result.new_messages(), began)
        return cast("AgentRunResult[OutputT]", result)

    def workflow(self, *, name: str | None = None, version: int = 1, variable: str | None = None) -> Workflow[Any, Any]:
        """A workflow that runs the agent once: `answer = desk.workflow()`.

        Its input is the prompt, or what `encode` returns. Its result is the output as JSON without defaults; `decode` makes
        the output of it again.

        Args:
            name: Name of the workflow. Default: the name of the agent.
            version: Version of the workflow.
            variable: The variable at the top of your module that holds the workflow, if it is not its name. The replay
                check looks for it there.
        """

        async def run(ctx: Context, input: Any) -> Any:
            """Run the agent once."""
            call: dict[str, Any] = cast("dict[str, Any]", input) if isinstance(input, dict) else {"prompt": input}
            deps = decoded(self.agent.deps_type, call["deps"], "deps") if "deps" in call else None
            result = await self.run(
                ctx, call.get("prompt"), deps=cast("Any", deps), message_history=call.get("message_history")
            )
            return self._outputs.encode(result.output)

        return as_workflow(self._mesh, run, name or self.name, version, variable)

    # ── outside ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def encode(
        self,
        prompt: str | None = None,
        /,
        *,
        deps: DepsT = _NOTHING,
        message_history: Sequence[ModelMessage] | None = None,
    ) -> dict[str, Any]:
        """The input of `workflow()` with more than a prompt: `client.start(answer, desk.encode("hi", deps=deps))`.

        Args:
            prompt: What the user says.
            deps: The dependencies.
            message_history: The messages so far.
        """
        call: dict[str, Any] = {} if prompt is None else {"prompt": prompt}
        if deps is not None:
            call["deps"] = encoded(self.agent.deps_type, deps, "deps")
        if message_history is not None:
            call["message_history"] = self.dump(message_history)
        return call

    def decode(self, result: Any, /) -> OutputT:
        """The output of a workflow that `workflow()` made.

        Args:
            result: What `WorkflowHandle.result` or `Client.run` returned.

        Raises:
            NotSupported: The output comes from a function, whose JSON has no known type.
        """
        return cast("OutputT", self._outputs.decode(result))

    def dump(self, messages: Sequence[ModelMessage], /) -> list[dict[str, Any]]:
        """Messages as JSON, for the result or the state of a workflow. `run(message_history=…)` takes them.

        Args:
            messages: `all_messages()` or `new_messages()` of a result.
        """
        times = {at: one.timestamp for at, one in enumerate(messages) if isinstance(one, ModelRequest)}
        dumped = cast("list[dict[str, Any]]", CODEC.dump(_MESSAGES, list(messages)))
        for at, time in times.items():
            if time is not None:
                dumped[at]["timestamp"] = time.isoformat()
        return dumped

    def load(self, messages: Sequence[ModelMessage] | Sequence[Mapping[str, Any]], /) -> list[ModelMessage]:
        """The messages again.

        Args:
            messages: What `dump` returned.
        """
        loaded: list[ModelMessage] = CODEC.load(_MESSAGES, list(messages))
        for one in loaded:
            if isinstance(one, ModelRequest) and one.timestamp is not None:
                _stamp_parts(one, one.timestamp)
        return loaded

    def astream(self, handle: WorkflowHandle[Any], /) -> AsyncIterator[tuple[str, Any]]:
        """What happens in a run, as pairs of kind and data, until the workflow ends.

        - `model`: an event of Pydantic AI as the model produces it, for example a `PartDeltaEvent` with a token.
        - `tool`: `{"toolset": …, "tool": …, "step": …, "result": …}` when a tool has returned, or `"error"` with the words that
          the model reads.
        - `question`: what people are asked: id, question, context.
        - `restart`: a request to the model begins again after a failure or a crash: drop what it streamed before.

        Args:
            handle: The workflow.
        """
        from nervenet.integrations.pydantic_ai.watch import watched

        return watched(self.agents, handle)


def _stamp(messages: Sequence[ModelMessage], began: datetime) -> None:
    """Give requests times that are the same on every replay: that of the answer before."""
    last = began
    for message in messages:
        if isinstance(message, ModelResponse):
            last = message.timestamp
        else:
            message.timestamp = last
            _stamp_parts(message, last)


def _stamp_parts(message: ModelRequest, time: datetime) -> None:
    for part in message.parts:
        if hasattr(part, "timestamp"):
            cast("Any", part).timestamp = time


def _check_deps(deps_type: Any) -> None:
    try:
        TypeAdapter(deps_type)
    except PydanticSchemaGenerationError:
        raise NotSupported(
            f"{caller()}: deps of type {getattr(deps_type, '__name__', deps_type)!r} cannot travel to an agent: make deps_type a "
            "dataclass or a model of plain values, and open connections where they are used"
        ) from None


def _refuse_unknown(
    argument: str, given: Collection[str], known: Collection[str], listed_later: Collection[str] = ()
) -> None:
    for one in given:
        if one not in known:
            why = f"{caller()}: {argument}= names {one!r}, but there are only: {', '.join(sorted(known))}"
            if listed_later:
                why += (
                    f". The tools of {', '.join(sorted(listed_later))} are known only when agents run: no name of a single one "
                    "can be given here" + (", but that of the toolset can" if argument == "options" else "")
                )
            raise NotSupported(why)
