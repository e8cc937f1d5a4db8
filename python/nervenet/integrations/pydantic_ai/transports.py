# SPDX-License-Identifier: Apache-2.0
"""What a request to a capability carries, and how the agent makes the call of Pydantic AI from it again.

{"op": "request", "ctx": {…}, "deps"?: …, "model"?: "small", "messages": […], "settings"?: {…}, "parameters": {…}}
{"op": "call", "ctx": {…}, "deps"?: …, "name": "forecast", "args": {…}, "tool": {"~": "forecast"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from pydantic import TypeAdapter
from pydantic_ai import AbstractToolset, FunctionToolset
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.durable_exec import (
    CapabilityMethodDeclaration,
    CapabilityOperationParams,
    DurabilityEngineSpec,
    DurableRunContext,
    DynamicToolsetCallToolParams,
    EventStreamHandlerParams,
    ModelCancelSuspendedResponseParams,
    ModelCompactMessagesParams,
    ModelRequestParams,
    ParameterTransport,
    ParameterTransports,
    ToolsetCallToolParams,
    ToolsetGetToolsParams,
    WorkspaceCallParams,
    revalidate_function_call,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestContext, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets import DynamicToolset
from pydantic_ai.toolsets.function import FunctionToolsetTool
from pydantic_ai.usage import RunUsage

from nervenet.integrations.pydantic_ai.definitions import Definitions
from nervenet.integrations.pydantic_ai.encoding import decoded, encoded, plain, shortest, shortest_of
from nervenet.integrations.refusals import NotSupported

Wire: TypeAlias = dict[str, Any]
_MESSAGES = list[ModelMessage]
_CAPABILITY_IDS = {"active_capability_ids", "_deferred_capability_ids"}
"""Parts of the context that are consulted about tools of Pydantic AI's capabilities alone."""
_NOT_SENT = {"capability_active"}
_messages: TypeAdapter[list[ModelMessage]] = TypeAdapter(_MESSAGES)


class Contexts:
    """How the RunContext of Pydantic AI travels: only what differs from an empty one.

    Args:
        agent: The agent.
        spec: The engine, for the words of its errors.
        deps_type: The type of `deps`.
        run_context: The class of the context that tools get.
    """

    def __init__(
        self,
        agent: AbstractAgent[Any, Any],
        spec: DurabilityEngineSpec,
        deps_type: Any,
        run_context: type[DurableRunContext[Any]],
    ) -> None:
        self._agent, self._spec, self._deps_type, self._class = agent, spec, deps_type, run_context
        self._deps: TypeAdapter[Any] = TypeAdapter(deps_type)
        empty: RunContext[Any] = RunContext(deps=None, model=cast("Any", None), usage=RunUsage(), run_id="")
        self._empty = run_context.serialize_run_context(empty)

    def dump(self, ctx: RunContext[Any]) -> Wire:
        """The parts of a request that every operation has."""
        values = {
            key: value
            for key, value in self._class.serialize_run_context(ctx).items()
            if key not in _NOT_SENT and (key not in self._empty or value != self._empty[key])
        }
        owners = {tool.capability_id for tool in ctx.tools.values()}
        for key in sorted(_CAPABILITY_IDS & values.keys()):  # the others are made by chance, or come with an upgrade
            if kept := values.pop(key) & owners:
                values[key] = kept
        wire: Wire = {"ctx": plain(values, "the context of the run")}
        if ctx.deps is not None:
            wire["deps"] = shortest_of(self._deps, ctx.deps, "deps")
        return wire

    def load(self, wire: Mapping[str, Any]) -> RunContext[Any]:
        """The context for the code of the agent."""
        deps = decoded(self._deps_type, wire["deps"], "deps") if "deps" in wire else None
        restored: RunContext[Any] = self._class.restore(
            {**self._empty, **wire["ctx"]}, deps=deps, agent=self._agent, engine_spec=self._spec
        )
        return restored


class _Transport:
    """The parts that a transport uses."""

    def __init__(self, contexts: Contexts, definitions: Definitions) -> None:
        self.contexts, self.definitions = contexts, definitions

    def dump_request(self, params: ModelRequestParams | ModelRequestContext) -> Wire:
        """Messages, settings and parameters of a request to a model."""
        parameters = params.model_request_parameters
        whole = encoded(ModelRequestParameters, parameters, "the parameters of a request to the model")
        self.definitions.hide_texts({"parts": whole.get("instruction_parts", [])})
        if parameters.function_tools:
            whole["function_tools"] = [self.definitions.dump(tool) for tool in parameters.function_tools]
        messages = encoded(_MESSAGES, params.messages, "a message")
        for message in messages:
            message.pop("failed_attempts", None)  # measured with the clock of whatever process replays
            self.definitions.hide_texts(message)
        wire: Wire = {"messages": messages, "parameters": whole}
        if params.model_settings:
            wire["settings"] = plain(dict(params.model_settings), "model_settings")
        return wire

    def load_messages(self, wire: Mapping[str, Any]) -> list[ModelMessage]:
        """The messages again."""
        for message in wire["messages"]:
            self.definitions.show_texts(message)
        return _messages.validate_python(wire["messages"])

    def load_parameters(self, wire: Mapping[str, Any]) -> ModelRequestParameters:
        """The parameters again."""
        whole = dict(wire["parameters"])
        self.definitions.show_texts({"parts": whole.get("instruction_parts", [])})
        tools = [self.definitions.load(tool) for tool in whole.pop("function_tools", ())]
        parameters: ModelRequestParameters = decoded(ModelRequestParameters, whole, "a request to the model")
        parameters.function_tools = tools
        return parameters


class ModelTransport(_Transport, ParameterTransport[ModelRequestParams, Wire]):
    """A request to a model."""

    def dump(self, params: ModelRequestParams) -> Wire:
        """The request as JSON."""
        model = {} if params.model_id is None else {"model": params.model_id}
        return {**self.contexts.dump(params.run_context), **model, **self.dump_request(params)}

    def load(self, payload: Wire, *, runtime: object) -> ModelRequestParams:
        """The parameters of a request, in the process that does the work."""
        return ModelRequestParams(
            payload.get("model"),
            messages=self.load_messages(payload),
            model_settings=cast("ModelSettings | None", payload.get("settings")),
            model_request_parameters=self.load_parameters(payload),
            run_context=self.contexts.load(payload),
        )


class CompactTransport(_Transport, ParameterTransport[ModelCompactMessagesParams, Wire]):
    """A compaction of messages."""

    def dump(self, params: ModelCompactMessagesParams) -> Wire:
        """The request as JSON."""
        wire = {**self.contexts.dump(params.run_context), **self.dump_request(params.request_context)}
        more = {"model": params.model_id, "words": params.instructions, "streaming": params.request_context.streaming}
        return {**wire, **{key: value for key, value in more.items() if value}}

    def load(self, payload: Wire, *, runtime: object) -> ModelCompactMessagesParams:
        """The parameters of a request, in the process that does the work."""
        request = ModelRequestContext(
            model=cast("Any", None),
            messages=self.load_messages(payload),
            model_settings=cast("ModelSettings | None", payload.get("settings")),
            model_request_parameters=self.load_parameters(payload),
        )
        request.model_id, request.streaming = payload.get("model"), payload.get("streaming", False)
        return ModelCompactMessagesParams(
            payload.get("model"),
            request_context=request,
            instructions=payload.get("words"),
            run_context=self.contexts.load(payload),
        )


class CancelTransport(_Transport, ParameterTransport[ModelCancelSuspendedResponseParams, Wire]):
    """The withdrawal of a response that the provider still works on."""

    def dump(self, params: ModelCancelSuspendedResponseParams) -> Wire:
        """The request as JSON."""
        model = {} if params.model_id is None else {"model": params.model_id}
        ctx = {} if params.run_context is None else self.contexts.dump(params.run_context)
        return {**ctx, **model, "response": encoded(ModelResponse, params.response, "a response")}

    def load(self, payload: Wire, *, runtime: object) -> ModelCancelSuspendedResponseParams:
        """The parameters of a request, in the process that does the work."""
        response: ModelResponse = decoded(ModelResponse, payload["response"], "a response")
        ctx = self.contexts.load(payload) if "ctx" in payload else None
        return ModelCancelSuspendedResponseParams(payload.get("model"), response=response, run_context=ctx)


class HookTransport(_Transport, ParameterTransport[CapabilityOperationParams, Wire]):
    """A durable operation of one of Pydantic AI's capabilities."""

    def dump(self, params: CapabilityOperationParams) -> Wire:
        """The request as JSON."""
        model = {} if params.model_id is None else {"model": params.model_id}
        return {**self.contexts.dump(params.run_context), **model, "args": plain(params.arguments, "an argument")}

    def load(self, payload: Wire, *, runtime: object) -> CapabilityOperationParams:
        """The parameters of a request, in the process that does the work."""
        return CapabilityOperationParams(
            self.contexts.load(payload), arguments=payload["args"], model_id=payload.get("model")
        )


class DiscoveryTransport(_Transport, ParameterTransport[ToolsetGetToolsParams, Wire]):
    """A list of tools, or the instructions of an MCP server."""

    def dump(self, params: ToolsetGetToolsParams) -> Wire:
        """The request as JSON."""
        return self.contexts.dump(params.ctx)

    def load(self, payload: Wire, *, runtime: object) -> ToolsetGetToolsParams:
        """The parameters of a request, in the process that does the work."""
        return ToolsetGetToolsParams(self.contexts.load(payload))


class FunctionTransport(_Transport, ParameterTransport[ToolsetCallToolParams, Wire]):
    """A call of a function tool."""

    def __init__(self, contexts: Contexts, definitions: Definitions, toolset: FunctionToolset[Any]) -> None:
        super().__init__(contexts, definitions)
        self._toolset = toolset

    def dump(self, params: ToolsetCallToolParams) -> Wire:
        """The request as JSON."""
        wire = {**self.contexts.dump(params.ctx), "name": params.name, "args": self._args(params)}
        if (tool := params.tool) is not None:
            wire["tool"] = self.definitions.dump(tool.tool_def)
            original = tool.original_name if isinstance(tool, FunctionToolsetTool) else None
            if original is not None and original != tool.tool_def.name:
                wire["original"] = original
        return wire

    def _args(self, params: ToolsetCallToolParams) -> Any:
        """The arguments without their defaults, if the tool makes the same arguments of them."""
        whole = plain(params.tool_args, f"an argument of tool {params.name!r}")
        tool = params.tool
        original = (tool.original_name or tool.tool_def.name) if isinstance(tool, FunctionToolsetTool) else params.name
        source = self._toolset.tools.get(original)
        if source is None:
            return whole
        return shortest(params.tool_args, whole, source.function_schema.revalidate)

    def load(self, payload: Wire, *, runtime: object) -> ToolsetCallToolParams:
        """The parameters of a request, in the process that does the work."""
        ctx, name = self.contexts.load(payload), payload["name"]
        try:
            tool = self._toolset.tool_for_tool_def(
                self.definitions.load(payload["tool"]), ctx=ctx, original_name=payload.get("original")
            )
        except KeyError:
            raise NotSupported(
                f"toolset {self._toolset.id!r} of this agent process has no tool {name!r}: keep a tool, or its old name, "
                "until the runs that know it have ended"
            ) from None
        return ToolsetCallToolParams(name, tool_args=payload["args"], ctx=ctx, tool=tool)


class McpTransport(_Transport, ParameterTransport[ToolsetCallToolParams, Wire]):
    """A call of a tool of an MCP server."""

    def __init__(self, contexts: Contexts, definitions: Definitions, toolset: Any) -> None:
        super().__init__(contexts, definitions)
        self._toolset = toolset

    def dump(self, params: ToolsetCallToolParams) -> Wire:
        """The request as JSON."""
        assert params.tool is not None
        return {
            **self.contexts.dump(params.ctx),
            "name": params.name,
            "args": plain(params.tool_args, f"an argument of tool {params.name!r}"),
            "tool": self.definitions.dump(params.tool.tool_def),
        }

    def load(self, payload: Wire, *, runtime: object) -> ToolsetCallToolParams:
        """The parameters of a request, in the process that does the work."""
        ctx = self.contexts.load(payload)
        tool = self._toolset.tool_for_tool_def(self.definitions.load(payload["tool"]), ctx=ctx)
        return ToolsetCallToolParams(payload["name"], tool_args=payload["args"], ctx=ctx, tool=tool)


class DynamicTransport(_Transport, ParameterTransport[DynamicToolsetCallToolParams, Wire]):
    """A call of a tool of a dynamic toolset."""

    def dump(self, params: DynamicToolsetCallToolParams) -> Wire:
        """The request as JSON."""
        tool = {} if params.tool_def is None else {"tool": self.definitions.dump(params.tool_def)}
        args = plain(params.tool_args, f"an argument of tool {params.name!r}")
        return {**self.contexts.dump(params.ctx), "name": params.name, "args": args, **tool}

    def load(self, payload: Wire, *, runtime: object) -> DynamicToolsetCallToolParams:
        """The parameters of a request, in the process that does the work."""
        tool = self.definitions.load(payload["tool"]) if "tool" in payload else None
        return DynamicToolsetCallToolParams(
            payload["name"], tool_args=payload["args"], ctx=self.contexts.load(payload), tool_def=tool
        )


class Transports(ParameterTransports):
    """The transport of each kind of operation."""

    def __init__(self, contexts: Contexts, definitions: Definitions, spec: DurabilityEngineSpec) -> None:
        self._parts = contexts, definitions
        self._spec = spec

    def model_request(self, result_type: object) -> ParameterTransport[ModelRequestParams, Any]:
        """See ModelTransport."""
        return ModelTransport(*self._parts)

    def compact_messages(self) -> ParameterTransport[ModelCompactMessagesParams, Any]:
        """See CompactTransport."""
        return CompactTransport(*self._parts)

    def cancel_suspended_response(self) -> ParameterTransport[ModelCancelSuspendedResponseParams, Any]:
        """See CancelTransport."""
        return CancelTransport(*self._parts)

    def event_stream_handler(self) -> ParameterTransport[EventStreamHandlerParams, Any]:
        """Never bound: events of the model go to watchers."""
        raise NotImplementedError

    def capability_operation(
        self, declaration: CapabilityMethodDeclaration
    ) -> ParameterTransport[CapabilityOperationParams, Any]:
        """See HookTransport."""
        return HookTransport(*self._parts)

    def workspace_call(self) -> ParameterTransport[WorkspaceCallParams, Any]:
        """Never bound: workspaces are refused."""
        raise NotSupported("workspaces are not durable on nervenet yet")

    def function_call(self, toolset: FunctionToolset[Any]) -> ParameterTransport[ToolsetCallToolParams, Any]:
        """See FunctionTransport."""
        return FunctionTransport(*self._parts, toolset)

    async def prepare_function_call(
        self, toolset: FunctionToolset[Any], params: ToolsetCallToolParams
    ) -> ToolsetCallToolParams:
        """Arguments that travelled as JSON become Python values again."""
        return await revalidate_function_call(toolset, params, engine_spec=self._spec)

    def mcp_call(self, toolset: AbstractToolset[Any]) -> ParameterTransport[ToolsetCallToolParams, Any]:
        """See McpTransport."""
        return McpTransport(*self._parts, toolset)

    def get_tools(self, toolset: AbstractToolset[Any]) -> ParameterTransport[ToolsetGetToolsParams, Any]:
        """See DiscoveryTransport."""
        return DiscoveryTransport(*self._parts)

    def get_instructions(self, toolset: AbstractToolset[Any]) -> ParameterTransport[ToolsetGetToolsParams, Any]:
        """See DiscoveryTransport."""
        return DiscoveryTransport(*self._parts)

    def dynamic_get_tools(self, toolset: DynamicToolset[Any]) -> ParameterTransport[ToolsetGetToolsParams, Any]:
        """See DiscoveryTransport."""
        return DiscoveryTransport(*self._parts)

    def dynamic_call(self, toolset: DynamicToolset[Any]) -> ParameterTransport[DynamicToolsetCallToolParams, Any]:
        """See DynamicTransport."""
        return DynamicTransport(*self._parts)
