# SPDX-License-Identifier: Apache-2.0
"""Exceptions → failures as data. Nothing is pickled: a failure has the type, message, lines and causes, for people."""

from __future__ import annotations

import re
import traceback
from datetime import timedelta

from nervenet.durable.lines import is_machinery
from nervenet.errors import AgentError, CallFailed
from nervenet.payloads import ANY, InvalidPayload, PayloadTooLarge
from nervenet.records import Failure, FailureCode, Payload

_DEPTH = 8
"""The number of causes that are kept. Longer chains are wrappers around wrappers."""


def failure_of(error: BaseException, *, source: str = "", depth: int = _DEPTH) -> Failure:
    """The failure of an exception that leaves user code. A CallFailed has its own already."""
    if isinstance(error, CallFailed):
        return error.failure
    cause = _cause_of(error)
    below = None if cause is None or depth == 0 else failure_of(cause, depth=depth - 1)
    return Failure(
        code=_code_of(error),
        message=_words(error),
        type=error.type if isinstance(error, AgentError) else type(error).__name__,
        retryable=_retryable(error),
        retry_after_ms=_retry_after_ms(error),
        source=source,
        stack_trace=stack_of(error),
        details=_details_of(error),
        cause=below,
    )


def step_of(error: BaseException) -> str:
    """The step whose failure an exception is, or is caused by; empty if no step failed."""
    behind: BaseException | None = error
    for _ in range(_DEPTH):
        if behind is None or isinstance(behind, CallFailed):
            break
        behind = _cause_of(behind)
    return behind.step if isinstance(behind, CallFailed) else ""


def stack_of(error: BaseException) -> str:
    """The frames of user code in a traceback, as Python prints them."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_machinery(f.filename)]
    return "".join(traceback.format_list(frames))


_FRAME = re.compile(r'File "([^"\n]+)", line (\d+)')


def failure_text(failure: Failure) -> str:
    """A failure in a line: `KeyError: 'price' (shop.py:12)`. The file and line are those of Python code, if it has them."""
    kind = failure.type or str(failure.code)
    words = f"{kind}: {failure.message}" if failure.message else kind
    frames = _FRAME.findall(failure.stack_trace)
    return f"{words} ({frames[-1][0]}:{frames[-1][1]})" if frames else words


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"{error.message}: " + "; ".join(f"{type(e).__name__}: {_words(e)}" for e in error.exceptions[:3])
    return str(error)


def _cause_of(error: BaseException) -> BaseException | None:
    """The cause of an error, its context, or the first error of a group."""
    if isinstance(error, BaseExceptionGroup):
        first: BaseException = error.exceptions[0]
        return first
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def _code_of(error: BaseException) -> FailureCode:
    if isinstance(error, InvalidPayload):
        return FailureCode.INVALID_INPUT
    if isinstance(error, PayloadTooLarge):
        return FailureCode.PAYLOAD_TOO_LARGE
    return FailureCode.APPLICATION


def _retryable(error: BaseException) -> bool | None:
    """False if the error or one of its causes has `retryable = False`; otherwise the retry policy decides."""
    link: BaseException | None = error
    for _ in range(_DEPTH):
        if link is None:
            break
        if isinstance(link, AgentError) and not link.retryable:
            return False
        link = link.__cause__
    return None


def _retry_after_ms(error: BaseException) -> int | None:
    after = error.retry_after if isinstance(error, AgentError) else None
    return None if after is None else after // timedelta(milliseconds=1)


def _details_of(error: BaseException) -> Payload | None:
    details = error.details if isinstance(error, AgentError) else None
    return None if details is None else ANY.encode(details)
