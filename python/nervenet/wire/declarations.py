# SPDX-License-Identifier: Apache-2.0
"""Workflows as data: the contract's Definition → plain records.

A message may have values that an option does not accept, such as a backoff below 1. These are problems of the
definition, like those that `declarations.check` finds, so all of them are reported together, each with its path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from nervenet.declarations import (
    Action,
    AskAction,
    CallAction,
    ChildAction,
    ComputeAction,
    Declaration,
    DeclaredStep,
    ForEach,
    Problem,
    SleepAction,
    check,
)
from nervenet.options import CallOptions, RetryPolicy, Selection, Timeouts
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import workflow_pb2 as workflow
from nervenet.wire.forms import from_json
from nervenet.wire.options import policy_in
from nervenet.wire.requests import LONGEST_SECONDS, mistakes
from nervenet.wire.values import optional_ms, whole

T = TypeVar("T")

_SPANS: Final = ("queue", "accept", "attempt", "total", "heartbeat")
_REFUSED: Final = re.compile(r"\w+\.(\w+) is (.*)", re.DOTALL)
_STEP: Final = re.compile(r"(steps\[\d+\])(.*)", re.DOTALL)
_MEANT: Final = re.compile(r"did you mean '(.*)'\?")
_FIELDS: Final = {"multiplier": "backoff_multiplier", "non_retryable": "non_retryable_types", "match": "match_labels"}


def declaration_in(message: workflow.Definition) -> tuple[Declaration, list[Problem]]:
    """The declaration and all its problems. Without problems it can be interpreted."""
    out_of_bounds = mistakes(message)
    reading = _DeclarationReader()
    declaration = reading.declaration(message)
    paths = {problem.path for problem in out_of_bounds}
    more = [problem for problem in (*reading.problems, *check(declaration)) if problem.path not in paths]
    return declaration, [*out_of_bounds, *more]


def definition_from_json(data: Any) -> tuple[workflow.Definition, list[Problem]]:
    """The message from JSON or YAML that a person wrote. A node checks whether it is valid."""
    return from_json(data, workflow.Definition)


def declaration_from_json(data: Any) -> tuple[Declaration, list[Problem]]:
    """The declaration and its problems, from text that a person wrote. Problems that only follow from an unreadable
    field are left out."""
    message, problems = from_json(data, workflow.Definition)
    declaration, more = declaration_in(message)
    return declaration, [*problems, *(problem for problem in more if not _follows(problem, problems))]


def _follows(problem: Problem, unread: Sequence[Problem]) -> bool:
    """Whether a problem may exist only because a field is unreadable: in, around or next to it, or the name of a
    step."""
    for other in unread:
        place = _unread(other)
        if place is None:
            continue
        if place in ("", "steps") or _is_below(place, problem.path) or _is_below(problem.path, place):
            return True
        step = _STEP.match(place)
        if step is not None and step[2] in ("", ".name") and "no step " in problem.words:
            return True
        if step is not None and step[2].startswith(".depends_on") and problem.path.startswith(f"{step[1]}."):
            return True
    return False


def _unread(problem: Problem) -> str | None:
    """The path of the unreadable field. None: the field does not exist, and resembles no existing one."""
    if not problem.words.startswith("no field "):
        return problem.path
    meant = _MEANT.search(problem.words)
    return None if meant is None else ".".join(filter(None, (problem.path.rpartition(".")[0], meant[1])))


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))


def decode_declaration(data: bytes) -> Declaration:
    """The declaration from a stored message, which was checked before."""
    return _DeclarationReader().declaration(workflow.Definition.FromString(data))


@dataclass
class _DeclarationReader:
    problems: list[Problem] = field(default_factory=list)

    def declaration(self, message: workflow.Definition) -> Declaration:
        return Declaration(
            message.name,
            message.version,
            tuple(self._step(f"steps[{i}].", step) for i, step in enumerate(message.steps)),
            message.output.strip(),
            message.description,
            self._options("", message),
            optional_ms(message, "timeout"),
            optional_ms(message, "retention"),
        )

    def _step(self, at: str, message: workflow.Step) -> DeclaredStep:
        return DeclaredStep(
            message.name,
            self._action(at, message),
            tuple(message.depends_on),
            message.condition.strip(),
            ForEach(message.for_each.items.strip(), message.for_each.concurrency)
            if message.HasField("for_each")
            else None,
            self._options(at, message),
            message.recover.strip(),
            message.publish.strip(),
        )

    def _options(self, at: str, message: workflow.Definition | workflow.Step) -> CallOptions:
        given: dict[str, Any] = {}
        if message.HasField("retry"):
            given["retry"] = self._made(f"{at}retry", RetryPolicy, _retry(message.retry))
        if message.HasField("timeouts"):
            given["timeouts"] = self._made(f"{at}timeouts", Timeouts, _spans(message.timeouts, _SPANS))
        if isinstance(message, workflow.Step):
            if message.HasField("selection"):
                given["selection"] = self._made(f"{at}selection", Selection, _selection(message.selection))
            if message.labels:
                given["labels"] = dict(message.labels)
        return CallOptions(**given)

    def _made(self, at: str, kind: Callable[..., T], values: Mapping[str, Any]) -> T | None:
        """The options, with a problem for each field that is refused. The others are checked without it."""
        left, wrong = dict(values), False
        while True:
            try:
                made = kind(**left)
            except ValueError as error:
                refused = _REFUSED.fullmatch(str(error))
                name, words = refused.groups() if refused is not None else ("", str(error))
                path = f"{at}.{_FIELDS.get(name, name)}".rstrip(".")
                self.problems.append(Problem(path, words.replace("UNSET", "unset")))
                wrong = True
                if left.pop(name, None) is None:
                    return None
            else:
                return None if wrong else made

    def _action(self, at: str, message: workflow.Step) -> Action | None:
        match message.WhichOneof("action"):
            case "call":
                return CallAction(message.call.capability, message.call.input.strip())
            case "ask":
                return self._ask(f"{at}ask", message.ask)
            case "workflow":
                return ChildAction(
                    message.workflow.definition, message.workflow.version, message.workflow.input.strip()
                )
            case "value":
                return ComputeAction(message.value.strip())
            case "sleep":
                return SleepAction(optional_ms(message, "sleep") or 0)
        return None

    def _ask(self, at: str, message: workflow.AskAction) -> AskAction:
        schema = default = None
        if message.HasField("answer_schema"):
            schema = self._plain(f"{at}.answer_schema", message.answer_schema)
        if message.HasField("default_answer"):
            default = (self._plain(f"{at}.default_answer", message.default_answer),)
        return AskAction(
            message.question.strip(),
            tuple(message.choices),
            schema,
            message.context.strip(),
            optional_ms(message, "deadline"),
            default,
            message.assignee,
        )

    def _plain(self, at: str, message: Struct | Value) -> Any:
        try:
            return whole(json_format.MessageToDict(message))
        except ValueError as error:  # NaN and infinities
            self.problems.append(Problem(at, f"no JSON: {error}"))
            return None


def _spans(message: common.Timeouts | common.RetryPolicy, names: Sequence[str]) -> dict[str, timedelta]:
    """The durations that are set, without those that are out of bounds."""
    spans = {name: optional_ms(message, name) for name in names}
    return {
        name: timedelta(milliseconds=ms)
        for name, ms in spans.items()
        if ms is not None and 0 <= ms <= LONGEST_SECONDS * 1000
    }


def _retry(message: common.RetryPolicy) -> dict[str, Any]:
    given: dict[str, Any] = {**_spans(message, ("initial_interval", "max_interval"))}
    if message.max_attempts:
        given["max_attempts"] = None if message.max_attempts == -1 else message.max_attempts
    if message.backoff_multiplier:
        given["multiplier"] = message.backoff_multiplier
    if message.jitter:
        given["jitter"] = message.jitter
    if message.non_retryable_types:
        given["non_retryable"] = list(message.non_retryable_types)
    if message.avoid_failed_agents:
        given["avoid_failed_agents"] = True
    if message.on_exhausted:
        given["on_exhausted"] = "escalate" if message.on_exhausted == common.ON_EXHAUSTED_ESCALATE else "fail"
    if message.on_agent_loss:
        given["on_agent_loss"] = "escalate" if message.on_agent_loss == common.ON_EXHAUSTED_ESCALATE else "fail"
    return given


def _selection(message: common.Selection) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if message.policy:
        known = message.policy in common.SelectionPolicy.values()
        given["policy"] = policy_in(message.policy) if known else int(message.policy)
    if message.match_labels:
        given["match"] = dict(message.match_labels)
    if message.sticky_key.strip():
        given["sticky_key"] = message.sticky_key.strip()
    return given
