# SPDX-License-Identifier: Apache-2.0
"""Which classes may come out of a payload: those that the graph's schemas name, and those that the user adds."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from enum import Enum
from typing import Any, get_args, get_type_hints

from langchain_core.messages import BaseMessage
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from nervenet.integrations.langgraph.internals import is_expanded


def classes_of(compiled: CompiledStateGraph[Any, Any, Any, Any], more: Collection[type] = ()) -> list[type]:
    """Models, dataclasses, enums and named tuples of all schemas of the graph and of its subgraphs.

    Args:
        compiled: The graph.
        more: Classes that the schemas do not name.
    """
    found: dict[type, None] = {}
    seen: dict[int, Any] = {}
    for schema in (*_schemas(compiled), *more):
        _look(schema, found, seen)
    return [*found, *more]


def _schemas(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> Iterator[Any]:
    builder = compiled.builder
    yield from builder.schemas
    if builder.context_schema is not None:
        yield builder.context_schema
    for spec in builder.nodes.values():
        if is_expanded(spec.runnable):
            runnable: Any = spec.runnable
            yield from _schemas(runnable)


def _look(type_: Any, found: dict[type, None], seen: dict[int, Any]) -> None:
    """Note the classes of a type, of its arguments and of its fields."""
    if id(type_) in seen:
        return
    seen[id(type_)] = type_  # kept, so that no other type gets its id
    for part in get_args(type_):
        _look(part, found, seen)
    if not isinstance(type_, type) or type_.__module__ == "builtins" or issubclass(type_, BaseMessage):
        return
    if issubclass(type_, (BaseModel, Enum)) or dataclasses.is_dataclass(type_) or _is_named_tuple(type_):
        found[type_] = None
    try:
        hints = get_type_hints(type_, include_extras=True)
    except Exception:  # noqa: BLE001  # a name that does not resolve: the error at the value says how to add its class
        return
    for hint in hints.values():
        _look(hint, found, seen)


def _is_named_tuple(type_: type) -> bool:
    return issubclass(type_, tuple) and hasattr(type_, "_fields")
