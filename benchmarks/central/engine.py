# SPDX-License-Identifier: Apache-2.0
"""What follows from an event: the state machine of the orchestrator, without I/O.

`Engine.apply(event)` changes the state in memory and returns the effects, which the caller writes to Redis. Every event may come
twice: a start is known by its id, and a result by its step. The second one has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .definitions import DEFINITIONS, Definition, Keeps

ATTEMPTS: Final = 3
"""How often a step is tried before its workflow fails."""


@dataclass(frozen=True, slots=True)
class StartRequested:
    workflow_id: bytes
    definition: bytes
    client: bytes
    input: bytes


@dataclass(frozen=True, slots=True)
class StepEnded:
    """`error` is empty if the step succeeded."""

    workflow_id: bytes
    step: int
    attempt: int
    value: bytes
    error: bytes


Event = StartRequested | StepEnded


@dataclass(slots=True)
class Workflow:
    """All that the orchestrator knows about an open workflow. It is in memory, and in Redis in the same form."""

    id: bytes
    definition: Definition
    client: bytes
    input: bytes
    step: int = 0
    attempt: int = 1
    results: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Create:
    workflow: Workflow


@dataclass(frozen=True, slots=True)
class SaveStep:
    """A result came in, and the workflow is now at its next step."""

    workflow: Workflow
    value: bytes


@dataclass(frozen=True, slots=True)
class SaveAttempt:
    workflow: Workflow


@dataclass(frozen=True, slots=True)
class Dispatch:
    workflow_id: bytes
    capability: bytes
    step: int
    attempt: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The last result, or the error; the client hears of it in the same write."""

    workflow: Workflow
    status: bytes
    value: bytes


Effect = Create | SaveStep | SaveAttempt | Dispatch | Close


class Engine:
    """Owns the state of all open workflows."""

    def __init__(self, open_workflows: Iterable[Workflow] = ()) -> None:
        self._open = {workflow.id: workflow for workflow in open_workflows}

    @property
    def open(self) -> Mapping[bytes, Workflow]:
        return self._open

    def apply(self, event: Event) -> list[Effect]:
        match event:
            case StartRequested():
                return self._start(event)
            case StepEnded():
                return self._advance(event)

    def dispatch(self, workflow: Workflow) -> Dispatch:
        """The task of the step at which the workflow is."""
        definition = workflow.definition
        value = definition.input_of_next_step(workflow.input, workflow.results)
        return Dispatch(workflow.id, definition.steps[workflow.step], workflow.step, workflow.attempt, value)

    def _start(self, event: StartRequested) -> list[Effect]:
        if event.workflow_id in self._open:
            return []
        definition = DEFINITIONS.get(event.definition)
        if definition is None:
            unknown = Workflow(event.workflow_id, Definition(event.definition, (), Keeps.LAST), event.client, b"")
            return [Create(unknown), Close(unknown, b"FAILED", b"no workflow has this name")]
        workflow = Workflow(event.workflow_id, definition, event.client, event.input)
        self._open[workflow.id] = workflow
        return [Create(workflow), self.dispatch(workflow)]

    def _advance(self, event: StepEnded) -> list[Effect]:
        workflow = self._open.get(event.workflow_id)
        if workflow is None or (workflow.step, workflow.attempt) != (event.step, event.attempt):
            return []  # closed, or a second delivery
        if event.error:
            return self._retry(workflow, event.error)
        definition = workflow.definition
        if definition.keeps is Keeps.LAST:
            workflow.results.clear()
        workflow.results.append(event.value)
        workflow.step += 1
        workflow.attempt = 1
        if workflow.step == len(definition.steps):
            del self._open[workflow.id]
            return [Close(workflow, b"SUCCEEDED", definition.result(workflow.results))]
        return [SaveStep(workflow, event.value), self.dispatch(workflow)]

    def _retry(self, workflow: Workflow, error: bytes) -> list[Effect]:
        if workflow.attempt == ATTEMPTS:
            del self._open[workflow.id]
            return [Close(workflow, b"FAILED", error)]
        workflow.attempt += 1
        return [SaveAttempt(workflow), self.dispatch(workflow)]
