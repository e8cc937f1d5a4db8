# SPDX-License-Identifier: Apache-2.0
"""The records of a workflow as data. Frozen, without validation: `check` looks at the whole and tells every problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nervenet.options import CallOptions


@dataclass(slots=True, frozen=True)
class CallAction:
    """Have an agent do a task."""

    capability: str
    input: str = ""


@dataclass(slots=True, frozen=True)
class AskAction:
    """Ask a human. `default` is a one-tuple where there is one, so that null can be it."""

    question: str
    choices: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    context: str = ""
    deadline_ms: int | None = None
    default: tuple[Any] | None = None
    assignee: str = ""


@dataclass(slots=True, frozen=True)
class ChildAction:
    """Run another workflow; `version` 0: the highest."""

    definition: str
    version: int = 0
    input: str = ""


@dataclass(slots=True, frozen=True)
class ComputeAction:
    """The value is that of an expression."""

    value: str


@dataclass(slots=True, frozen=True)
class SleepAction:
    """Wait."""

    span_ms: int


Action: TypeAlias = CallAction | AskAction | ChildAction | ComputeAction | SleepAction


@dataclass(slots=True, frozen=True)
class ForEach:
    """Do it for each element of a list."""

    items: str
    concurrency: int = 0


@dataclass(slots=True, frozen=True)
class DeclaredStep:
    """One step; `action` is None where none was given, which `check` refuses."""

    name: str
    action: Action | None
    depends_on: tuple[str, ...] = ()
    condition: str = ""
    for_each: ForEach | None = None
    options: CallOptions = field(default_factory=CallOptions)
    recover: str = ""
    publish: str = ""


@dataclass(slots=True, frozen=True)
class Declaration:
    """The whole; `options` are what its steps inherit."""

    name: str
    version: int
    steps: tuple[DeclaredStep, ...]
    output: str = ""
    description: str = ""
    options: CallOptions = field(default_factory=CallOptions)
    timeout_ms: int | None = None
    retention_ms: int | None = field(default=None, repr=False)  # no part of what runs
