# SPDX-License-Identifier: Apache-2.0
"""The result of an attempt: from a handler's return value or exception to the journal entry. No I/O.

It runs in the process of the handler: a pool process sends the finished entry, and the agent only appends it. The
rules:

- The input does not match its type: INVALID_INPUT, and the handler is not called.
- The result does not match the declared type: APPLICATION, not retryable, because another try would hardly help.
- Any exception: APPLICATION with the name of its class, the user's frames and the chain of causes.
- `Escalate`: an attempt with a question to a human, with the schema of the output, and the suggestion in the same form.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nervenet.codecs import PLAIN, CodecError, Codecs
from nervenet.durable.failures import failure_of
from nervenet.errors import Escalate
from nervenet.payloads import ANY, InvalidPayload, PayloadTooLarge, check_size
from nervenet.records import NOTHING, Attempt, Failure, FailureCode, Outcome, Payload, Question, Usage
from nervenet.schemas import malformed
from nervenet.streams.tasks.attempt import LONGEST_TEXT, OutcomeEntry
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from nervenet.definitions import Agent
    from nervenet.wire import Envelope

MISSING_KEY: Final = "CodecError"
"""Type of the failure of an agent that cannot decode its input."""

Verdict: TypeAlias = Payload | Failure | Question


def accepted(agent: Agent[Any, Any], payload: Payload, codecs: Codecs = PLAIN) -> tuple[Any, ...] | Failure:
    """The handler's payload argument, if it takes one; a Failure if the payload does not match its type."""
    if not agent.takes_payload:
        return ()
    try:
        return (agent.input.decode(codecs.decode_received(payload), agent.parameter),)
    except CodecError as error:  # another agent may have the key, so it is tried again
        return Failure(FailureCode.DEPENDENCY, f"{agent.name}: the input: {error}", type=MISSING_KEY, source=agent.name)
    except InvalidPayload as error:
        return Failure(FailureCode.INVALID_INPUT, str(error), type="InvalidPayload", retryable=False, source=agent.name)


def answered(agent: Agent[Any, Any], value: object, limit: int) -> Verdict:
    """The return value of a handler as a payload, or a Failure if it has another type or is too large."""
    try:
        payload = agent.output.encode(value)
        check_size(payload, limit, f"{agent.name}: result")
    except InvalidPayload as error:
        words = f"{agent.name}: the result does not fit its type: {error}"
        return Failure(FailureCode.APPLICATION, words, type="InvalidResult", retryable=False, source=agent.name)
    except PayloadTooLarge as error:
        return _too_large(agent, error)
    return payload


def raised(agent: Agent[Any, Any], error: BaseException, limit: int, now_ms: int) -> Verdict:
    """The result that a handler's exception means."""
    if isinstance(error, Escalate):
        return _question(agent, error, limit, now_ms)
    if isinstance(error, PayloadTooLarge):
        return _too_large(agent, error)
    failure = failure_of(error, source=agent.name)
    if isinstance(error, InvalidPayload):  # raised by the handler for a value of its own, not for its input
        failure = replace(failure, code=FailureCode.APPLICATION, retryable=False)
    if failure.details is not None and failure.details.size > limit:
        failure = replace(failure, details=None, message=f"{failure.message} (details above the payload limit)")
    return replace(failure, stack_trace=failure.stack_trace[-LONGEST_TEXT:])


def outcome_entry(
    envelope: Envelope,
    agent_id: str,
    verdict: Verdict,
    started_ms: int,
    ended_ms: int,
    usage: tuple[Usage, ...] = (),
    *,
    codecs: Codecs = PLAIN,
    limit: int | None = None,
) -> OutcomeEntry:
    """The entry: `task:<step>` for a value, `attempt:<step>#<n>` for anything else. The fold decides about retries."""
    step, n = envelope.step, envelope.attempt
    if codecs.on:
        verdict = _encoded(verdict, codecs, envelope.capability, limit)
    tokens = tuple((one.model, one.input_tokens, one.output_tokens) for one in usage)
    times_and_usage = (started_ms, ended_ms, usage, envelope.enqueue_ms)
    if isinstance(verdict, Payload):
        outcome = Outcome(verdict, None, envelope.capability, envelope.digest, n, agent_id, *times_and_usage)
        return OutcomeEntry(f"task:{step}", encode_entry(outcome, agent_id), False, "succeeded", tokens)
    question = verdict if isinstance(verdict, Question) else None
    failure = replace(verdict, attempt=n, agent_id=agent_id) if isinstance(verdict, Failure) else None
    attempt = Attempt(failure, question, envelope.capability, envelope.digest, agent_id, *times_and_usage)
    result = "asked" if failure is None else failure.code.lower()
    return OutcomeEntry(f"attempt:{step}#{n}", encode_entry(attempt, agent_id), failure is not None, result, tokens)


def _encoded(verdict: Verdict, codecs: Codecs, capability: str, limit: int | None) -> Verdict:
    """The verdict as it travels. What is too large only now fails."""
    if isinstance(verdict, Failure):  # a missing key is no secret, and an operator must read which one it is
        return verdict if verdict.type == MISSING_KEY else codecs.encode_failure(verdict)
    if isinstance(verdict, Question):
        return codecs.encode_question(verdict)
    payload = codecs.encode(verdict)
    try:
        if limit is not None:
            check_size(payload, limit, f"{capability}: encoded result")
    except PayloadTooLarge as error:
        code = FailureCode.PAYLOAD_TOO_LARGE
        return Failure(code, str(error), type="PayloadTooLarge", retryable=False, source=capability)
    return payload


def _too_large(agent: Agent[Any, Any], error: PayloadTooLarge) -> Failure:
    return Failure(
        FailureCode.PAYLOAD_TOO_LARGE, str(error), type="PayloadTooLarge", retryable=False, source=agent.name
    )


def _question(agent: Agent[Any, Any], escalate: Escalate, limit: int, now_ms: int) -> Verdict:
    suggestion: Verdict = NOTHING
    context: Verdict = NOTHING
    if escalate.suggestion is not None:
        suggestion = answered(agent, escalate.suggestion, limit)
    if escalate.context is not None:
        context = _context(agent, escalate.context, limit)
    for part in (suggestion, context):
        if isinstance(part, Failure):
            return replace(part, message=f"{part.message} (in Escalate: {escalate.question})")
    assert isinstance(suggestion, Payload)
    assert isinstance(context, Payload)
    schema = agent.output.schema()
    if wrong := malformed(schema):
        words = f"the JSON Schema of {agent.name}'s output is invalid: {wrong} (in Escalate: {escalate.question})"
        return Failure(FailureCode.APPLICATION, words, type="InvalidSchema", retryable=False, source=agent.name)
    deadline_ms = None if escalate.deadline is None else now_ms + escalate.deadline // timedelta(milliseconds=1)
    return Question(
        text=escalate.question,
        source="agent",
        choices=escalate.choices,
        context=context,
        suggestion=suggestion,
        schema=schema,
        deadline_ms=deadline_ms,
    )


def _context(agent: Agent[Any, Any], value: object, limit: int) -> Verdict:
    try:
        payload = ANY.encode(value)
        check_size(payload, limit, f"{agent.name}: context of the question")
    except InvalidPayload as error:
        return Failure(FailureCode.APPLICATION, str(error), type="InvalidPayload", retryable=False, source=agent.name)
    except PayloadTooLarge as error:
        return _too_large(agent, error)
    return payload
