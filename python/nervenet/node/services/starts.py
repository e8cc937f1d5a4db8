# SPDX-License-Identifier: Apache-2.0
"""Start requests, checked: the contract's message → what the starter takes, or the refusal that names the field.

The one part of the service layer that is on the hot path: a batch of fifty passes here for each forty milliseconds of
a busy node, so a request is looked at once and nothing is made that a plain start does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.json_format import SerializeToJsonError

from nervenet.clock import new_workflow_id
from nervenet.codecs import PLAIN, Codecs
from nervenet.errors import Overloaded, PreconditionFailed, RequestError
from nervenet.node.workflows.builtin import TASK, TaskRequest, options_of
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.payloads import format_size, read_json
from nervenet.records import NO_TRACE, Payload, Trace
from nervenet.rpc.status import invalid
from nervenet.security.targets import TASK_PREFIX
from nervenet.streams.keys import check_name, check_workflow_id
from nervenet.telemetry import checked
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import optional_ms, payload_in, policy_in, refused_option, trace_in

if TYPE_CHECKING:
    from nervenet.config import Config


NO_LABELS: Final[Mapping[str, str]] = {}
"""One for all starts without labels, as long as they are in memory."""
MOST_LABEL_BYTES = 4096
"""Labels lie in the head, which every list reads."""


def start_of(message: pb.StartWorkflowRequest, config: Config, trace: Trace = NO_TRACE, at: str = "") -> StartRequest:
    """`at` precedes field names in errors (`requests[3].`). Raises RequestError."""
    try:
        definition = check_name(message.definition, "definition")
    except ValueError as error:
        raise invalid(f"{at}definition", str(error)) from None
    try:
        workflow_id = check_workflow_id(message.workflow_id) if message.workflow_id else new_workflow_id(definition)
    except ValueError as error:
        raise invalid(f"{at}workflow_id", str(error)) from None
    if message.version < 0:
        raise invalid(f"{at}version", "0 (the highest) or a version")
    if message.durability == pb.DURABILITY_STRICT and config.durability != "strict":
        raise PreconditionFailed(
            "this mesh is not strict: a crash of Redis can lose its last second (NERVENET_DURABILITY)",
            code="FAILED_PRECONDITION",
            reason="DURABILITY_UNAVAILABLE",
        )
    timeout_ms = optional_ms(message, "timeout")
    if timeout_ms is not None and timeout_ms <= 0:
        raise invalid(f"{at}timeout", "longer than zero, or left out")
    return StartRequest(
        workflow_id,
        definition,
        checked_payload(message.input, config.payload_limit, f"{at}input", definition),
        message.version,
        checked_labels(message.labels, at) if message.labels else NO_LABELS,
        timeout_ms,
        _if_exists(message.if_exists, at) if message.if_exists > 1 else "same",
        checked(trace_in(message.trace)) if message.HasField("trace") else trace,
        message.starter,
    )


def _if_exists(value: int, at: str) -> str:
    if value == pb.IF_EXISTS_ERROR:
        return "error"
    if value == pb.IF_EXISTS_RESTART_IF_CLOSED:
        return "restart_if_closed"
    raise invalid(f"{at}if_exists", f"{value} is not one of IfExists")


def checked_payload(message: common.Payload, limit: int, field: str, whose: str) -> Payload:
    """The payload in its stored form, if it is not too large."""
    try:
        payload = payload_in(message)
    except (SerializeToJsonError, ValueError) as error:
        raise invalid(f"{field}.value", f"no JSON value: {error}") from None
    if len(payload.data) > limit:
        raise Overloaded(
            f"{whose}: {field} is {format_size(payload.size)}, limit {format_size(limit)} (NERVENET_PAYLOAD_LIMIT); "
            "store it and pass a URI.",
            code="RESOURCE_EXHAUSTED",
            reason="PAYLOAD_TOO_LARGE",
            metadata={"limit": str(limit), "size": str(payload.size)},
        )
    return payload


def checked_json(payload: Payload, field: str) -> Payload:
    if payload.form == "json":
        try:
            read_json(payload.data)
        except ValueError as error:
            raise invalid(field, f"not JSON: {error}") from None
    return payload


def checked_labels(labels: Any, at: str = "") -> dict[str, str]:
    found = dict(labels)
    if sum(len(key) + len(value) for key, value in found.items()) > MOST_LABEL_BYTES:
        raise invalid(f"{at}labels", f"more than {MOST_LABEL_BYTES} bytes together")
    return found


# ── RunTask: a start of the built-in definition ──────────────────────────────────────────────────────────────────────


def task_start_of(message: pb.RunTaskRequest, config: Config, trace: Trace, codecs: Codecs = PLAIN) -> StartRequest:
    try:
        workflow_id = check_workflow_id(f"{TASK_PREFIX}{message.request_id}")
        if not message.request_id:
            raise ValueError("a name for this very task, so that a repeated request is the same one")
    except ValueError as error:
        raise invalid("request_id", str(error)) from None
    try:
        capability = check_name(message.capability, "capability")
    except ValueError as error:
        raise invalid("capability", str(error)) from None
    payload = checked_payload(message.input, config.payload_limit, "input", capability)
    labels = checked_labels(message.labels)
    payload = checked_json(payload, "input.json")
    payload = codecs.encode(payload, codecs.fingerprint(payload, workflow_id))
    task = TaskRequest(capability, payload, _task_options(message, labels))
    return StartRequest(workflow_id, TASK, task.stored(), 1, labels, trace=trace, identity=task.identity())


def _task_options(message: pb.RunTaskRequest, labels: dict[str, str]) -> dict[str, Any]:
    """As `node/workflows/builtin.py` reads them: the fields of options.py, times in milliseconds."""
    retry = _retry(message.retry)
    spans = {name: optional_ms(message.timeouts, name) for name in ("queue", "accept", "attempt", "total", "heartbeat")}
    timeouts = {name: ms for name, ms in spans.items() if ms is not None}
    selection: dict[str, Any] = {}
    if message.HasField("selection"):
        selection = {"policy": policy_in(message.selection.policy), "match": dict(message.selection.match_labels)}
        if message.selection.sticky_key:
            selection["sticky_key"] = message.selection.sticky_key
    given = {"retry": retry, "timeouts": timeouts, "selection": selection, "labels": labels}
    _check_options(given)
    return {name: value for name, value in given.items() if value}


def _retry(message: common.RetryPolicy) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if message.max_attempts:
        given["max_attempts"] = None if message.max_attempts < 0 else message.max_attempts
    for name in ("initial_interval", "max_interval"):
        if (ms := optional_ms(message, name)) is not None:
            given[name] = ms
    if message.backoff_multiplier:
        given["multiplier"] = message.backoff_multiplier
    if message.jitter:
        given["jitter"] = message.jitter
    if message.non_retryable_types:
        given["non_retryable"] = list(message.non_retryable_types)
    if message.avoid_failed_agents:
        given["avoid_failed_agents"] = True
    if message.on_exhausted == common.ON_EXHAUSTED_ESCALATE:
        given["on_exhausted"] = "escalate"
    if message.on_agent_loss == common.ON_EXHAUSTED_FAIL:
        given["on_agent_loss"] = "fail"
    return given


def _check_options(given: dict[str, Any]) -> None:
    """Refuse here what the options would refuse inside the workflow."""
    try:
        options_of(given)
    except (ValueError, TypeError) as error:
        field, words = refused_option(error)
        raise invalid(field or "options", words) from None


def refused_start(error: RequestError, at: str = "") -> RequestError:
    """What the checks found wrong with an input has no field yet, or one of the start alone."""
    if error.reason == "INVALID_FIELD":
        fields = error.fields or (("input", error.message),)
        error.fields = tuple((at + field, words) for field, words in fields)
    return error
