# SPDX-License-Identifier: Apache-2.0
"""The capabilities of an agent, the same in every process and every release: `desk-model`, `desk-tools`, `desk-<toolset id>`."""

from __future__ import annotations

from typing import cast

from pydantic_ai.durable_exec import (
    CapabilityOperationId,
    DurableOperationId,
    EventStreamHandlerId,
    ModelCancelSuspendedResponseId,
    ModelCompactMessagesId,
    ModelRequestId,
    ToolsetCallToolId,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
)

from nervenet.integrations.pydantic_ai.internals import AGENT_TOOLSET_ID
from nervenet.integrations.refusals import NotSupported, caller

MODEL, TOOLS, HOOKS = "model", "tools", "hooks"
"""The second part of a name: requests to models, the agent's own tools, durable operations of Pydantic AI's capabilities."""

CALL = "call"
"""The operation that calls a tool."""


def role_of(operation: DurableOperationId) -> str:
    """What runs an operation: "model", "tools", "hooks" or the id of a toolset."""
    match operation:
        case ModelRequestId() | ModelCancelSuspendedResponseId() | ModelCompactMessagesId() | EventStreamHandlerId():
            return MODEL
        case CapabilityOperationId():
            return HOOKS
        case (
            ToolsetGetToolsId(toolset_id=id)
            | ToolsetGetInstructionsId(toolset_id=id)
            | ToolsetCallToolId(toolset_id=id)
            | ToolsetValidateToolArgumentsId(toolset_id=id)
        ):
            return TOOLS if id == AGENT_TOOLSET_ID else _checked(cast("str | None", id))


def _checked(id: str | None) -> str:
    if id is None:
        raise NotSupported(
            f"{caller()}: a toolset has no id, which is part of the name of its capability: FunctionToolset(…, id='files'), "
            "MCPToolset(…, id='files')"
        )
    if id in (MODEL, TOOLS, HOOKS):
        raise NotSupported(
            f"{caller()}: a toolset has the id {id!r}, which nervenet needs for itself: give it another id"
        )
    return id


def operation_of(operation: DurableOperationId) -> str:
    """What a request asks of its capability. It is in journals: never change one."""
    match operation:
        case ModelRequestId(streaming=streaming):
            return "stream" if streaming else "request"
        case ModelCancelSuspendedResponseId():
            return "cancel"
        case ModelCompactMessagesId():
            return "compact"
        case ToolsetGetToolsId():
            return "list"
        case ToolsetGetInstructionsId():
            return "instructions"
        case ToolsetCallToolId():
            return CALL
        case ToolsetValidateToolArgumentsId():
            return "validate"
        case CapabilityOperationId(capability_id=id, operation=name):
            return f"{id}.{name}"
        case EventStreamHandlerId():
            return "event"
