# SPDX-License-Identifier: Apache-2.0
"""Operations of Pydantic AI, bound to capabilities of the mesh: calls in the workflow, handlers in the agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic_ai.durable_exec import (
    BoundDurableOperation,
    DurableOperation,
    DurableOperationConfig,
    DurableOperationId,
    JournalOperationNamer,
    OperationConfigRole,
    ParameterTransports,
    RegisteredOperationBackend,
    durable_unit_scope,
)
from pydantic_ai.messages import ModelResponse

from nervenet import Agent, CallFailed, CallOptions, Context, Mesh, Task
from nervenet.integrations.capability_names import CapabilityNames, capability_name
from nervenet.integrations.pydantic_ai.faults import raise_as_agent_error, to_model_error
from nervenet.integrations.pydantic_ai.names import CALL, MODEL, operation_of, role_of
from nervenet.integrations.pydantic_ai.running import ATTEMPT, workflow
from nervenet.integrations.pydantic_ai.tool_names import ToolNames, ToolOfRole
from nervenet.integrations.refusals import NotSupported

ParamsT = TypeVar("ParamsT")
WireT = TypeVar("WireT")
ResultT = TypeVar("ResultT")
Config = Mapping[str, Any]
"""How an operation is configured. Ours is looked up by role and tool instead, so it is empty."""
_EMPTY: Config = {}


class LocalTools(DurableOperationConfig[Config]):
    """Which tools run in the workflow itself.

    Args:
        local: Their roles and names.
    """

    def __init__(self, local: frozenset[ToolOfRole]) -> None:
        self._local = local

    def base(self, role: OperationConfigRole, *, operation_id: DurableOperationId) -> Config:
        """Nothing."""
        return _EMPTY

    def for_tool(
        self, role: OperationConfigRole, *, operation_id: DurableOperationId, tool: object | None, tool_name: str
    ) -> Config | Literal[False]:
        """False: the workflow runs the tool."""
        return False if (role_of(operation_id), tool_name) in self._local else _EMPTY


@dataclass(frozen=True)
class Registered:
    """One operation in an agent process: how a request becomes a call, and its result an answer."""

    operation: DurableOperation[Any, Any, Any]

    async def run(self, request: Mapping[str, Any]) -> tuple[Any, Any]:
        """The result, and the same as it travels."""
        params = self.operation.parameter_transport.load(dict(request), runtime=None)
        with durable_unit_scope():
            result = await self.operation.handler(params)
        return result, self.operation.result_codec.dump(result)


class Bound(BoundDurableOperation[ParamsT, WireT, ResultT], Generic[ParamsT, WireT, ResultT]):
    """One operation in a workflow: a call of the capability."""

    def __init__(
        self,
        operation: DurableOperation[ParamsT, WireT, ResultT],
        agent: Agent[Any, Any],
        options: Callable[[str], CallOptions | None],
    ) -> None:
        self._operation, self._agent, self._options = operation, agent, options
        self._name, self._is_model = operation_of(operation.operation_id), role_of(operation.operation_id) == MODEL

    @property
    def operation(self) -> DurableOperation[ParamsT, WireT, ResultT]:
        """What is bound."""
        return self._operation

    async def __call__(self, params: ParamsT, *, config: object | None = None) -> ResultT:
        """Call it, and wait for its result."""
        ctx: Context = workflow()
        wire = cast("dict[str, Any]", self._operation.parameter_transport.dump(params))
        options = self._options(cast("str", wire.get("name", "")))
        try:
            reply = await ctx.call(self._agent, {"op": self._name, **wire}, options=options or CallOptions())
        except CallFailed as failed:
            error = to_model_error(failed) if self._is_model else failed
            if error is failed:
                raise
            raise error from failed
        return self._operation.result_codec.load(reply["value"])


class Backend(RegisteredOperationBackend[Config]):
    """Puts operations on a mesh, each under its role.

    Args:
        mesh: The mesh that gets the capabilities.
        name: The agent's name in the mesh.
        transports: How parameters travel.
        options: Options of calls, by role and by tool.
        slots: Attempts that one agent process runs at the same time, by role, or of each.
        local: Tools that run in the workflow itself.
        tools: The names of the tools.
    """

    def __init__(
        self,
        mesh: Mesh,
        name: str,
        transports: ParameterTransports,
        options: Mapping[str, CallOptions],
        slots: Mapping[str, int] | int,
        local: frozenset[str],
        tools: ToolNames,
    ) -> None:
        in_workflow = frozenset(tool for name in local for tool in tools.tools(name))
        super().__init__(
            namer=JournalOperationNamer(name), config=LocalTools(in_workflow), parameter_transports=transports
        )
        self.agents: dict[str, Agent[Any, Any]] = {}
        self._mesh, self._agent_name = mesh, name
        self._call_options, self._slots = options, slots
        self._tool_options = {tool: one for name, one in options.items() for tool in tools.tools(name)}
        self._names = CapabilityNames(mesh)
        self._operations: dict[str, dict[str, Registered]] = {}

    def register(
        self, operation: DurableOperation[ParamsT, WireT, ResultT], *, name: str, config: Config
    ) -> tuple[BoundDurableOperation[ParamsT, WireT, ResultT], Sequence[Callable[..., object]]]:
        """Add an operation to the capability of its role, which is made with the first one."""
        role = role_of(operation.operation_id)
        if role not in self.agents:
            self._operations[role] = {}
            self.agents[role] = self._capability(role, self._operations[role])
        self._operations[role][operation_of(operation.operation_id)] = Registered(operation)
        own = self._call_options.get(role)

        def options(tool: str) -> CallOptions | None:
            special = self._tool_options.get((role, tool))
            return own if special is None else special if own is None else own.merge(special)

        return Bound(operation, self.agents[role], options), ()

    def _capability(self, role: str, operations: Mapping[str, Registered]) -> Agent[Any, Any]:
        async def serve(task: Task[None], request: dict[str, Any]) -> dict[str, Any]:
            token = ATTEMPT.set(task)
            try:
                result, value = await _operation(operations, role, request).run(request)
            except Exception as error:
                raise_as_agent_error(error, of_model=role == MODEL)
                raise
            finally:
                ATTEMPT.reset(token)
            if isinstance(result, ModelResponse):
                task.usage(
                    result.model_name or "unknown",
                    input_tokens=result.usage.input_tokens,
                    output_tokens=result.usage.output_tokens,
                )
            return {"value": value, "tool": request["name"]} if request["op"] == CALL else {"value": value}

        words = {MODEL: "Requests to the model"}.get(role, f"The tools of toolset {role!r}")
        serve.__doc__ = f"{words} of the Pydantic AI agent {self._agent_name!r}."
        slots = self._slots if isinstance(self._slots, int) else self._slots.get(role, 10)
        name = self._names.take(
            capability_name(self._agent_name, role),
            f"{role!r}",
            f"agent {self._agent_name!r}",
            "give the toolset another id, or the durable agent another name=",
        )
        made: Agent[Any, Any] = self._mesh.agent(name=name, slots=slots)(serve)
        return made


def _operation(operations: Mapping[str, Registered], role: str, request: Mapping[str, Any]) -> Registered:
    found = operations.get(request["op"])
    if found is None:
        raise NotSupported(
            f"this agent process does not know the operation {request['op']!r} of {role!r}: start agents with the code of the nodes"
        )
    return found
