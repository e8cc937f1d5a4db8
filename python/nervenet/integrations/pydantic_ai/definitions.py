# SPDX-License-Identifier: Apache-2.0
"""Definitions of function tools and fixed instructions travel by name: the agent that does the work has the code that they come from.

So a request is small, and a new docstring, another schema of a tool or other words in a prompt do not change the requests of runs that
began before. Fields that the run has changed (a `prepare` function, a prefix) and texts that functions make travel. Tools of MCP
servers travel whole: they come from the journal.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_ai import AbstractToolset, FunctionToolset
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.tools import ToolDefinition

from nervenet.integrations.pydantic_ai.encoding import slim
from nervenet.integrations.pydantic_ai.internals import fixed_texts

BY_NAME = "~"
"""The key of a definition that travels by name."""
_adapter = TypeAdapter(ToolDefinition)


class Definitions:
    """The function tools and the fixed instructions of an agent.

    Args:
        agent: The agent.
    """

    def __init__(self, agent: AbstractAgent[Any, Any]) -> None:
        self._leaves: list[FunctionToolset[Any]] = []
        for toolset in agent.toolsets:
            toolset.apply(self._add)
        texts = fixed_texts(agent)
        self._text_of = {f"\x02{name}\x03": text for name, text in texts.items()}
        self._name_of = {text: name for name, text in reversed(self._text_of.items())}
        longest = sorted(self._name_of, key=lambda text: (-len(text), text))
        self._texts = _paragraphs(longest)
        self._names = _paragraphs(self._text_of)

    def hide_texts(self, message: dict[str, Any]) -> None:
        """Put the names of fixed instructions into a message in place of the words, where these are whole paragraphs."""
        _replace(message, self._texts, self._name_of)

    def show_texts(self, message: dict[str, Any]) -> None:
        """Put the words into a message again."""
        _replace(message, self._names, self._text_of)

    def dump(self, tool: ToolDefinition) -> dict[str, Any]:
        """A definition as it travels."""
        whole = slim(tool, _adapter.dump_python(tool, mode="json"))
        own = self._own(tool.name)
        if own is None:
            return cast("dict[str, Any]", whole)
        differing: dict[str, Any] = {
            field.name: whole.get(field.name)
            for field in dataclasses.fields(ToolDefinition)
            if field.name != "name" and getattr(tool, field.name) != getattr(own, field.name)
        }
        return {BY_NAME: tool.name, **differing}

    def load(self, dumped: Mapping[str, Any]) -> ToolDefinition:
        """The definition again, from the code of this process.

        Raises:
            KeyError: It has no tool of this name.
        """
        if BY_NAME not in dumped:
            return _adapter.validate_python(dumped)
        own = self._own(dumped[BY_NAME])
        if own is None:
            raise KeyError(dumped[BY_NAME])
        merged = {**_adapter.dump_python(own), **{key: value for key, value in dumped.items() if key != BY_NAME}}
        return _adapter.validate_python({key: value for key, value in merged.items() if value is not None})

    def _own(self, name: str) -> ToolDefinition | None:
        for leaf in self._leaves:
            if (tool := leaf.tools.get(name)) is not None:
                return tool.tool_def
        return None

    def _add(self, leaf: AbstractToolset[Any]) -> None:
        if isinstance(leaf, FunctionToolset):
            self._leaves.append(leaf)


def _paragraphs(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What finds these texts where they are whole paragraphs, as Pydantic AI joins instructions. None: there are none."""
    anyone = "|".join(map(re.escape, texts))
    return re.compile(rf"(?:(?<=\A)|(?<=\n\n))(?:{anyone})(?=\n\n|\Z)") if anyone else None


def _replace(message: dict[str, Any], pattern: re.Pattern[str] | None, by: Mapping[str, str]) -> None:
    if pattern is None:
        return
    if isinstance(instructions := message.get("instructions"), str):
        message["instructions"] = pattern.sub(lambda found: by[found[0]], instructions)
    for part in message.get("parts", ()):
        if part.get("part_kind") in ("system-prompt", "instruction"):
            part["content"] = pattern.sub(lambda found: by[found[0]], part["content"])
