# SPDX-License-Identifier: Apache-2.0
"""Refuses inputs and signals that no live node's code accepts, before anything is written.

    checks.input("review", 1, "3.11", payload)                  # [("input.items[2].price", "input should be …")]
    await checks.signal("review-7", "aprove", payload, id)      # InvalidRequest: …; did you mean 'approve'?

Every node publishes, with each of its definitions, the schema of the input and the signals that the code receives
(`durable.signals`). Nodes may disagree during a deploy that changes code without changing its version. A value is refused
only if all nodes that have the definition refuse it. An older node, which publishes less, refuses nothing. The check is the
same for a node's own definitions and for those of others, so every node gives the same answer. It runs no user code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.codecs import CodecError, is_encoded
from nervenet.durable.declared import LANGUAGE
from nervenet.durable.signals import Signals, signals_of
from nervenet.rpc.status import invalid, invalid_all
from nervenet.schemas import Fit, fit

if TYPE_CHECKING:
    from nervenet.definitions import Workflow
    from nervenet.errors import InvalidRequest
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.records import Payload
    from nervenet.registry.views import DefinitionView
    from nervenet.schemas import Problem


_NOTHING: Final = '{"type":"null"}'
"""The schema of code without a parameter, which ignores what it is given."""


class _Known(NamedTuple):
    """What one node says of a definition; None: not checked."""

    input: Fit | None
    signals: Mapping[str, list[Fit | None]]
    complete: bool


_OLDER: Final = _Known(None, {}, False)
_DECLARED: Final = _Known(None, {}, True)
"""A workflow given as data: any input, and nothing in it receives a signal."""


class Checks:
    """One for each node."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows) -> None:
        self._context = context
        self._hosted = hosted
        self._signals = {key: signals_of(workflow) for key, workflow in context.definitions.items()}
        self._own: dict[tuple[str, int], _Known] = {}
        self._known: dict[tuple[str, int, str], tuple[_Known, ...]] = {}
        self._tasks: dict[str, tuple[Fit | None, ...]] = {}

    def published(self) -> Iterator[tuple[Workflow[Any, Any], Signals]]:
        """What this node has code for, and the signals of each."""
        for key, workflow in self._context.definitions.items():
            yield workflow, self._signals[key]

    def nodes_changed(self) -> None:
        self._known.clear()

    def agents_changed(self) -> None:
        self._tasks.clear()

    # ── inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def input(self, definition: str, version: int, runtime: str, payload: Payload) -> list[Problem]:
        """Why no code of that definition takes it; empty: some does, or nobody can say."""
        return self._refused_by_all([known.input for known in self._of(definition, version, runtime)], payload, "input")

    def task(self, capability: str, payload: Payload) -> list[Problem]:
        """The same of a task: why no live agent takes it."""
        fits = self._tasks.get(capability)
        if fits is None:
            agents = self._context.table.agents.values()
            schemas = {
                view.input_schema for agent in agents if (view := agent.capabilities.get(capability)) is not None
            }
            fits = self._tasks[capability] = tuple(_fit_of_input(schema) for schema in schemas)
        return self._refused_by_all(fits, payload, "input")

    # ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def signal(
        self, workflow_id: str, name: str, payload: Payload, signal_id: str, *, undeclared: bool = False
    ) -> InvalidRequest | None:
        """Why the workflow's code cannot take it. None: it can, or nobody can say, or it was recorded before."""
        key = await self._definition_of(workflow_id)
        wrong = None if key is None else self._signal(key, name, payload, undeclared=undeclared)
        if wrong is not None and await self._context.journal.has(workflow_id, f"signal:{signal_id}"):
            return None
        return wrong

    async def _definition_of(self, workflow_id: str) -> tuple[str, int, str] | None:
        """None: no such workflow, or closed."""
        hosted = self._hosted.find(workflow_id)
        if hosted is not None:
            workflow = hosted.workflow
            return workflow.name, workflow.version, workflow.runtime
        fields = ("definition", "version", "runtime", "closed_ms")
        head = await self._context.journal.head(workflow_id, fields)
        return None if head is None or head.closed else (head.definition, head.version, head.runtime)

    def _signal(
        self, key: tuple[str, int, str], name: str, payload: Payload, *, undeclared: bool
    ) -> InvalidRequest | None:
        known = self._of(*key)
        having = [each.signals[name] for each in known if name in each.signals]
        if len(having) < len(known) and (undeclared or not all(each.complete for each in known)):
            return None
        if having:
            wrong = self._refused_by_all([check for checks in having for check in checks], payload, "payload")
            return invalid_all(wrong) if wrong else None
        return (
            None if not known else _unknown_signal(key, name, sorted({one for each in known for one in each.signals}))
        )

    def _refused_by_all(
        self, checks: list[Fit | None] | tuple[Fit | None, ...], payload: Payload, at: str
    ) -> list[Problem]:
        """What the last one says, if every one has something to say. A node without a codec cannot check what is encoded."""
        if is_encoded(payload):
            if not self._context.codecs.on:
                return []
            try:
                payload = self._context.codecs.decode_received(payload)
            except CodecError as error:
                return [(at, str(error))]
        wrong: list[Problem] = []
        for check in checks:
            if check is None or not (wrong := check.problems(payload, at)):
                return []
        return wrong

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────

    def _of(self, definition: str, version: int, runtime: str) -> tuple[_Known, ...]:
        if runtime == LANGUAGE:
            return (_DECLARED,)
        key = (definition, version, runtime)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(self._told(*key))
        return found

    def _told(self, definition: str, version: int, runtime: str) -> Iterator[_Known]:
        own = self._context.definitions.get((definition, version))
        if own is not None and own.runtime == runtime:
            if (definition, version) not in self._own:
                self._own[definition, version] = _of_code(own, self._signals[definition, version])
            yield self._own[definition, version]
        others = (node for node in self._context.table.nodes.values() if node.id != self._context.status.node_id)
        views = {view for node in others for view in node.definitions}
        for view in views:
            if (view.name, view.version, view.runtime) == (definition, version, runtime):
                yield _of_view(view)


def _of_code(workflow: Workflow[Any, Any], signals: Signals) -> _Known:
    schema = workflow.input.schema().decode() if workflow.takes_input else _NOTHING
    checks = {name: [fit(codec.schema().decode()) for codec in codecs] for name, codecs in signals.names.items()}
    return _Known(_fit_of_input(schema), checks, signals.complete)


def _of_view(view: DefinitionView) -> _Known:
    if not view.marked:
        return _OLDER
    checks: dict[str, list[Fit | None]] = {}
    for name, schema in view.signals:
        checks.setdefault(name, []).append(fit(schema))
    return _Known(_fit_of_input(view.input_schema), checks, view.complete)


def _fit_of_input(schema: str) -> Fit | None:
    return None if schema == _NOTHING else fit(schema)


def _unknown_signal(key: tuple[str, int, str], name: str, names: list[str]) -> InvalidRequest:
    near = difflib.get_close_matches(name, names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    there = f"it receives {', '.join(names)}" if names else "it receives none"
    return invalid(
        "signal",
        f"{key[0]} v{key[1]} receives no signal {name!r}{meant} ({there}). Set `undeclared` to send it all the same",
    )
