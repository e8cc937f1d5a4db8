# SPDX-License-Identifier: Apache-2.0
"""What an attempt comes to: from what a handler gave or raised to the journal entry that says so. No I/O.

It runs where the handler ran, so that a pool process sends the finished entry and its parent only appends it. The rules:

- the input does not fit → INVALID_INPUT, and the handler is never called;
- the result does not fit the declared type → APPLICATION, not retryable: the handler's own fault, but repeating it
  will hardly mend it;
- any exception → APPLICATION under its class name, with the user's frames and the chain of causes;
- `Escalate` → an attempt that asks a human, with the output's schema and the suggestion in the output's form.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from nervenet.durable.failures import failure_of
from nervenet.errors import Escalate
from nervenet.payloads import ANY, InvalidPayload, PayloadTooLarge, check_size
from nervenet.records import NOTHING, Attempt, Failure, FailureCode, Outcome, Payload, Question, Usage
from nervenet.schemas import malformed
from nervenet.streams.tasks.attempt import OutcomeEntry
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from nervenet.definitions import Agent
    from nervenet.wire import Envelope

Verdict: TypeAlias = Payload | Failure | Question

_LONGEST_STACK = 16_000


def accepted(agent: Agent[Any, Any], payload: Payload) -> tuple[Any, ...] | Failure:
    """The handler's payload arguments (none, or the one), or why they do not fit."""
    if not agent.takes_payload:
        return ()
    try:
        return (agent.input.decode(payload, agent.parameter),)
    except InvalidPayload as error:
        return Failure(FailureCode.INVALID_INPUT, str(error), type="InvalidPayload", retryable=False, source=agent.name)


def answered(agent: Agent[Any, Any], value: object, limit: int) -> Verdict:
    """What a handler returned, as a payload within the limit."""
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
    """What a handler's exception means."""
    if isinstance(error, Escalate):
        return _question(agent, error, limit, now_ms)
    if isinstance(error, PayloadTooLarge):
        return _too_large(agent, error)
    failure = failure_of(error, source=agent.name)
    if isinstance(error, InvalidPayload):  # what the handler tried to send or restore, not what it was given
        failure = replace(failure, code=FailureCode.APPLICATION, retryable=False)
    if failure.details is not None and failure.details.size > limit:
        failure = replace(failure, details=None, message=f"{failure.message} (details above the payload limit)")
    return replace(failure, stack_trace=failure.stack_trace[-_LONGEST_STACK:])


def outcome_entry(
    envelope: Envelope, agent_id: str, verdict: Verdict, started_ms: int, ended_ms: int, usage: tuple[Usage, ...] = ()
) -> OutcomeEntry:
    """The entry: `task:<step>` for a value, `attempt:<step>#<n>` for everything else (retries are the fold's business)."""
    step, n = envelope.step, envelope.attempt
    told = (started_ms, ended_ms, usage, envelope.enqueue_ms)
    if isinstance(verdict, Payload):
        outcome = Outcome(verdict, None, envelope.capability, envelope.digest, n, agent_id, *told)
        return OutcomeEntry(f"task:{step}", encode_entry(outcome, agent_id), False)
    question = verdict if isinstance(verdict, Question) else None
    failure = replace(verdict, attempt=n, agent_id=agent_id) if isinstance(verdict, Failure) else None
    attempt = Attempt(failure, question, envelope.capability, envelope.digest, agent_id, *told)
    return OutcomeEntry(f"attempt:{step}#{n}", encode_entry(attempt, agent_id), failure is not None)


def _too_large(agent: Agent[Any, Any], error: PayloadTooLarge) -> Failure:
    return Failure(
        FailureCode.PAYLOAD_TOO_LARGE, str(error), type="PayloadTooLarge", retryable=False, source=agent.name
    )


def _question(agent: Agent[Any, Any], asked: Escalate, limit: int, now_ms: int) -> Verdict:
    suggestion: Verdict = NOTHING
    context: Verdict = NOTHING
    if asked.suggestion is not None:
        suggestion = answered(agent, asked.suggestion, limit)
    if asked.context is not None:
        context = _context(agent, asked.context, limit)
    for part in (suggestion, context):
        if isinstance(part, Failure):
            return replace(part, message=f"{part.message} (in Escalate: {asked.question})")
    assert isinstance(suggestion, Payload)
    assert isinstance(context, Payload)
    schema = agent.output.schema()
    if wrong := malformed(schema):
        words = f"the JSON Schema of what {agent.name} answers is none: {wrong} (in Escalate: {asked.question})"
        return Failure(FailureCode.APPLICATION, words, type="InvalidSchema", retryable=False, source=agent.name)
    deadline_ms = None if asked.deadline is None else now_ms + asked.deadline // timedelta(milliseconds=1)
    return Question(
        text=asked.question,
        source="agent",
        choices=asked.choices,
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
