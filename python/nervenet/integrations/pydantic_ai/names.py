# SPDX-License-Identifier: Apache-2.0
"""The capabilities of an agent, the same in every process and every release: `desk-model`, `desk-tools`, `desk-<toolset id>`."""

from __future__ import annotations

import hashlib
import re
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
from nervenet.integrations.pydantic_ai.refusals import NotSupported, caller

LONGEST = 63
"""Characters of a capability's name."""
MODEL, TOOLS, HOOKS = "model", "tools", "hooks"
"""The second part of a name: requests to models, the agent's own tools, durable operations of Pydantic AI's capabilities."""


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
            return "call"
        case ToolsetValidateToolArgumentsId():
            return "validate"
        case CapabilityOperationId(capability_id=id, operation=name):
            return f"{id}.{name}"
        case EventStreamHandlerId():
            return "event"


def capability(agent: str, role: str) -> str:
    """The name of the capability: `desk-files`; long ones end with a hash."""
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", role).strip("-")
    name = f"{agent}-{words}"
    if words and len(name) <= LONGEST:
        return name
    digest = hashlib.blake2b(role.encode(), digest_size=4).hexdigest()
    return f"{name[: LONGEST - 9].rstrip('-')}-{digest}"


class Names:
    """The capabilities of one agent, each for one role.

    Args:
        agent: The agent's name in the mesh.
        taken: Names that the mesh has already, with what has them.
    """

    def __init__(self, agent: str, taken: dict[str, str]) -> None:
        self._agent, self._taken = agent, taken

    def of(self, role: str) -> str:
        """The capability of a role.

        Raises:
            NotSupported: Another role or another definition of the mesh has this name.
        """
        name = capability(self._agent, role)
        if (other := self._taken.get(name)) is not None:
            raise NotSupported(
                f"{caller()}: {role!r} of agent {self._agent!r} would be the capability {name!r}, which is {other}: "
                "give the toolset another id, or the durable agent another name="
            )
        self._taken[name] = f"{role!r} of the same agent"
        return name
