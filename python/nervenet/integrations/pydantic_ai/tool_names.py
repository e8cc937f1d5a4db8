# SPDX-License-Identifier: Apache-2.0
"""The names of function tools, as their functions have them and as the model sees them behind a prefix or a new name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_ai import AbstractToolset, FunctionToolset
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.toolsets import CombinedToolset, DynamicToolset, PrefixedToolset, RenamedToolset, WrapperToolset

from nervenet.integrations.pydantic_ai.internals import AGENT_TOOLSET_ID
from nervenet.integrations.pydantic_ai.names import TOOLS

ToolOfRole = tuple[str, str]
"""The role that runs a tool, and the name of its function."""


class ToolNames:
    """Finds the tools of an agent by any of their names.

    Args:
        agent: The agent.

    Attributes:
        listed_later: Ids of toolsets whose tools are known only when they run.
    """

    def __init__(self, agent: AbstractAgent[Any, Any]) -> None:
        self._tools: dict[str, set[ToolOfRole]] = {}
        self.listed_later: set[str] = set()
        for toolset in agent.toolsets:
            self._add(toolset, str)

    @property
    def names(self) -> frozenset[str]:
        """All names."""
        return frozenset(self._tools)

    def tools(self, name: str) -> frozenset[ToolOfRole]:
        """The tools with this name."""
        return frozenset(self._tools.get(name, ()))

    def _add(self, toolset: AbstractToolset[Any], visible: Callable[[str], str]) -> None:
        match toolset:
            case CombinedToolset():
                for one in toolset.toolsets:
                    self._add(one, visible)
            case PrefixedToolset():
                prefix = toolset.prefix
                self._add(toolset.wrapped, lambda name: visible(f"{prefix}_{name}"))
            case RenamedToolset():
                new_names = {old: new for new, old in toolset.name_map.items()}
                self._add(toolset.wrapped, lambda name: visible(new_names.get(name, name)))
            case WrapperToolset():
                self._add(toolset.wrapped, visible)
            case FunctionToolset():
                role = TOOLS if toolset.id == AGENT_TOOLSET_ID else toolset.id or ""
                for name in toolset.tools:
                    for shown in {name, visible(name)}:
                        self._tools.setdefault(shown, set()).add((role, name))
            case _:
                if toolset.id is not None and (isinstance(toolset, DynamicToolset) or hasattr(toolset, "list_tools")):
                    self.listed_later.add(toolset.id)
