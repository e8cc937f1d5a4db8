# SPDX-License-Identifier: Apache-2.0
"""From what a connected agent answers to the journal entry that records it, or nothing. No I/O.

The rules are those of the Python agent (`agent/verdicts.py`): a value is the step's outcome, everything else an attempt. A
payload above the limit and an answer without an outcome are failures that another try would repeat. What the agent must
not decide (whose task it is, and which attempt) is filled in from the envelope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.blobs import is_reference
from nervenet.blobs.reference import BLOB_MISSING
from nervenet.payloads import PayloadTooLarge, check_json, check_size
from nervenet.schemas import malformed
from nervenet.streams.tasks.attempt import LONGEST_TEXT, OutcomeEntry, StopReason
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow
from nervenet.wire import clear_mistakes, failure_in, failure_out, payload_in, payload_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nervenet.node.gateway.connected_agent import GatewayTask


def outcome_of(
    attempt: GatewayTask, answer: task.TaskResult, stop: StopReason | None, limit: int, now_ms: int
) -> OutcomeEntry | None:
    """None: nothing is recorded. A good value counts however late it is."""
    kind = answer.WhichOneof("outcome")
    if stop is not None and kind != "output":
        return stop_outcome(attempt, stop, now_ms)
    result = task.TaskResult()
    result.CopyFrom(answer)
    clear_mistakes(result)
    wrong = _mend(result, kind, attempt.envelope.capability, limit)
    if wrong is not None:
        result.failure.CopyFrom(wrong)
    return _entry(attempt, result, now_ms)


def stop_outcome(attempt: GatewayTask, stop: StopReason, now_ms: int) -> OutcomeEntry | None:
    """The attempt's outcome when the node ends it. None: nothing is recorded."""
    failure = stop.failure(attempt.envelope.capability, "gateway")
    return None if failure is None else _entry(attempt, task.TaskResult(failure=failure_out(failure)), now_ms)


def missing_input(attempt: GatewayTask, words: str, now_ms: int) -> OutcomeEntry:
    """The attempt failed before its agent had it: its input is not where it should be."""
    code, capability = common.FAILURE_CODE_DEPENDENCY, attempt.envelope.capability
    failure = common.Failure(
        code=code, message=f"{capability}: the input: {words}", type=BLOB_MISSING, source="gateway"
    )
    return _entry(attempt, task.TaskResult(failure=failure), now_ms)


def same_result(entry: bytes, agent_id: str, attempt: int) -> bool:
    """Whether an entry of the journal is this agent's answer to this attempt: a result that was sent twice."""
    stored = workflow.JournalEntry.FromString(entry)
    return stored.task.agent_id == agent_id and attempt in (stored.task.attempt, stored.task.failure.attempt, 0)


def _mend(result: task.TaskResult, kind: str | None, capability: str, limit: int) -> common.Failure | None:
    """Bring a result into the form that is stored; a failure where there is none."""
    if kind is None:
        return _invalid(capability, "a result without an outcome")
    try:
        if kind == "output":
            _store(result.output, f"{capability}: result", limit)
        elif kind == "question":
            _mend_question(result.question, capability, limit)
        else:
            _mend_failure(result.failure, capability, limit)
    except PayloadTooLarge as error:
        code = common.FAILURE_CODE_PAYLOAD_TOO_LARGE
        return common.Failure(code=code, message=str(error), type="PayloadTooLarge", retryable=False, source="gateway")
    except ValueError as error:
        return _invalid(capability, str(error))
    return None


def _mend_question(question: task.Question, capability: str, limit: int) -> None:
    if not question.text:
        raise ValueError("a question without a text")
    question.source = task.QUESTION_SOURCE_AGENT
    question.ClearField("failure")
    if wrong := malformed(question.answer_schema.encode()):
        raise ValueError(f"answer_schema of the question is no JSON Schema: {wrong}")
    for part in ("context", "suggestion", "default_answer"):
        if question.HasField(part):
            _store(getattr(question, part), f"{capability}: {part} of the question", limit)


def _mend_failure(failure: common.Failure, capability: str, limit: int) -> None:
    failure.source = failure.source or capability
    for each in _chain(failure):
        each.message = each.message[:LONGEST_TEXT]
        each.stack_trace = each.stack_trace[-LONGEST_TEXT:]
        if each.code == common.FAILURE_CODE_UNSPECIFIED:
            each.code = common.FAILURE_CODE_APPLICATION
        if each.HasField("details"):
            try:
                _store(each.details, f"{capability}: details", limit)
            except ValueError as error:
                each.ClearField("details")
                each.message = f"{each.message} (details left out: {error})"


def _chain(failure: common.Failure) -> Iterator[common.Failure]:
    yield failure
    while failure.HasField("cause"):
        failure = failure.cause
        yield failure


def stored_payload(payload: common.Payload, what: str, limit: int) -> common.Payload:
    """In the form in which it is stored. Raises PayloadTooLarge above the limit, ValueError where it is no JSON."""
    stored = common.Payload()
    stored.CopyFrom(payload)
    _store(stored, what, limit)
    return stored


def _store(payload: common.Payload, what: str, limit: int) -> None:
    if payload.WhichOneof("body") == "value":
        payload.CopyFrom(payload_out(payload_in(payload)))
    stored = payload_in(payload)
    if is_reference(stored):
        raise ValueError("a reference to the blob store, which only the mesh writes: send the value itself")
    check_size(stored, limit, what)
    if stored.form == "json":
        check_json(stored.data, what)


def _invalid(capability: str, words: str) -> common.Failure:
    code, text = common.FAILURE_CODE_APPLICATION, f"{capability}: {words}"
    return common.Failure(code=code, message=text, type="InvalidResult", retryable=False, source="gateway")


def _entry(attempt: GatewayTask, result: task.TaskResult, now_ms: int) -> OutcomeEntry:
    envelope, agent_id = attempt.envelope, attempt.agent_id
    result.agent_id = agent_id
    result.capability = envelope.capability
    result.input_digest = envelope.input_digest
    result.schedule_time.CopyFrom(envelope.enqueue_time)
    if not result.HasField("start_time"):
        result.start_time.FromMilliseconds(attempt.started_ms)
    if not result.HasField("end_time"):
        result.end_time.FromMilliseconds(now_ms)
    kind = result.WhichOneof("outcome")
    name = f"task:{envelope.step}" if kind == "output" else f"attempt:{envelope.step}#{envelope.attempt}"
    result.attempt = envelope.attempt
    if kind == "failure":
        result.failure.attempt, result.failure.agent_id = envelope.attempt, agent_id
    entry = workflow.JournalEntry(actor=agent_id, task=result)
    told = "asked" if kind == "question" else "succeeded"
    if kind == "failure":
        told = failure_in(result.failure).code.lower()
    tokens = tuple((one.model, one.input_tokens, one.output_tokens) for one in result.usage)
    return OutcomeEntry(name, entry.SerializeToString(), kind == "failure", told, tokens)
