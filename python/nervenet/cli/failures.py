# SPDX-License-Identifier: Apache-2.0
"""From an error to one message on stderr and an exit code.

With `--json` the message is a google.rpc.Status in proto JSON, so that a script reads one format whether the command worked
or not. Only unexpected errors print a traceback, and only with `-v`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from nervenet import errors
from nervenet.cli.ascii import encoding_of, fitting
from nervenet.errors import NervenetError, RequestError


class ExitCode(IntEnum):
    """The exit codes, as documented."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    STATE = 4
    UNREACHABLE = 5
    OVERLOADED = 6
    TIMEOUT = 7
    BLOCKED = 8
    INTERRUPTED = 130


class UsageError(NervenetError):
    """The command line is wrong. `hint` shows what to type instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Refused(NervenetError):
    """The state of this machine or of the mesh forbids it; exit code 4."""


class StillRunning(NervenetError):
    """`--timeout` passed. The workflow continues."""


class RunBlocked(NervenetError):
    """The workflow that the command waits for is BLOCKED."""


class Stopped(NervenetError):
    """The command has ended with this exit code and has printed why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


# gRPC's numbers of the codes that we answer with.
_NUMBERS = {
    "OK": 0, "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10,
    "OUT_OF_RANGE": 11, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}  # fmt: skip

# The first class that fits; subclasses come before their bases.
_CODES: tuple[tuple[type[BaseException], ExitCode, str], ...] = (
    (UsageError, ExitCode.USAGE, "INVALID_ARGUMENT"),
    (errors.ConfigError, ExitCode.USAGE, "INVALID_ARGUMENT"),
    (Refused, ExitCode.STATE, "FAILED_PRECONDITION"),
    (RunBlocked, ExitCode.BLOCKED, "FAILED_PRECONDITION"),
    (StillRunning, ExitCode.TIMEOUT, "DEADLINE_EXCEEDED"),
    (errors.InvalidRequest, ExitCode.USAGE, "INVALID_ARGUMENT"),
    (errors.NotFound, ExitCode.NOT_FOUND, "NOT_FOUND"),
    (errors.AlreadyExists, ExitCode.STATE, "ALREADY_EXISTS"),
    (errors.AlreadyClosed, ExitCode.STATE, "FAILED_PRECONDITION"),
    (errors.PreconditionFailed, ExitCode.STATE, "FAILED_PRECONDITION"),
    (errors.Unavailable, ExitCode.UNREACHABLE, "UNAVAILABLE"),
    (errors.Overloaded, ExitCode.OVERLOADED, "RESOURCE_EXHAUSTED"),
    (errors.Unauthorized, ExitCode.USAGE, "UNAUTHENTICATED"),
    (TimeoutError, ExitCode.TIMEOUT, "DEADLINE_EXCEEDED"),
    (KeyboardInterrupt, ExitCode.INTERRUPTED, "CANCELLED"),
)


def exit_code(error: BaseException) -> int:
    """The exit code that belongs to this error; 1 where nothing more is known."""
    if isinstance(error, Stopped):
        return error.code
    if isinstance(error, RequestError) and error.reason == "PAYLOAD_TOO_LARGE":
        return ExitCode.USAGE
    return next((code for kind, code, _ in _CODES if isinstance(error, kind)), ExitCode.FAILED)


def status(error: BaseException) -> dict[str, Any]:
    """The error as google.rpc.Status in proto JSON."""
    if not isinstance(error, RequestError):
        name = next((name for kind, _, name in _CODES if isinstance(error, kind)), "UNKNOWN")
        return {"code": _NUMBERS[name], "message": str(error) or type(error).__name__}
    details: list[dict[str, Any]] = []
    if error.reason:
        details.append({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.reason, "domain": "nervenet", "metadata": dict(error.metadata),
        })  # fmt: skip
    if error.retry_after is not None:
        delay = f"{error.retry_after.total_seconds():g}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    if error.fields:
        fields = [{"field": field, "description": text} for field, text in error.fields]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": fields})
    return {"code": _NUMBERS.get(error.code, 2), "message": error.message, "details": details}


def report(error: BaseException, argv: Sequence[str] = ()) -> int:
    """Print on stderr what went wrong, and return the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.FAILED
    if isinstance(error, BrokenPipeError) and not isinstance(error, RequestError):
        return _reader_left()
    code = exit_code(error)
    if isinstance(error, Stopped):
        return code
    if "--json" in argv:
        _say(json.dumps(status(error), ensure_ascii=False))
    elif isinstance(error, KeyboardInterrupt):
        _say("interrupted")
    else:
        _explain(error, verbose="-v" in argv or "--verbose" in argv)
    return code


def _explain(error: BaseException, *, verbose: bool) -> None:
    expected = isinstance(error, (NervenetError, TimeoutError))
    _say(f"nervenet: {error if expected and str(error) else errors.detail(error)}")
    if isinstance(error, UsageError) and error.hint:
        _say(error.hint)
    for note in getattr(error, "__notes__", ()) if expected else ():
        _say(note)
    for field, text in error.fields if isinstance(error, RequestError) else ():
        if f"{field.removeprefix('definition.')}: {text}" not in str(error) and text != str(error):
            _say(f"  {field}: {text}")
    if verbose:
        import traceback

        traceback.print_exception(error)
    elif not expected:
        _say("Run it again with -v for the traceback.")


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr is gone: the exit code has to do
        for line in _folded(text) if sys.stderr.isatty() else [text]:
            sys.stderr.write(fitting(line, encoding_of(sys.stderr)) + "\n")
        sys.stderr.flush()


def _folded(text: str) -> list[str]:
    """Lines that a terminal need not break within a word."""
    fold = textwrap.TextWrapper(
        shutil.get_terminal_size().columns, replace_whitespace=False, break_long_words=False, break_on_hyphens=False
    )
    return [part for line in text.split("\n") for part in (fold.wrap(line) if len(line) > fold.width else [line])]


def _reader_left() -> int:
    """The reader of our output (`| head`) has closed the pipe. Nothing may be flushed into it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.DONE
