# SPDX-License-Identifier: Apache-2.0
"""From what people type to values: JSON inputs, labels, durations, states, escalation ids.

A wrong value is a usage error that shows what to type. JSON is checked here and sent as it was written, so that large
integers and the spelling of numbers survive.
"""

from __future__ import annotations

import argparse
import difflib
import json
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from google.protobuf.duration_pb2 import Duration

from nervenet.cli.failures import UsageError
from nervenet.config import parse_duration

STATES = {
    "running": "RUNNING", "waiting": "WAITING_FOR_HUMAN", "waiting_for_human": "WAITING_FOR_HUMAN",
    "blocked": "BLOCKED", "canceling": "CANCELING", "succeeded": "SUCCEEDED", "failed": "FAILED",
    "canceled": "CANCELED", "timed_out": "TIMED_OUT",
}  # fmt: skip


def read_json(text: str, what: str = "INPUT") -> str:
    """The JSON text that `text`, `@file` or `-` (standard input) stands for."""
    if text == "-":
        return _checked(_decoded(sys.stdin.buffer.read(), "standard input"), "standard input")
    if text.startswith("@"):
        return _checked(_file(text[1:], what), text[1:])
    try:
        return _checked(text, what)
    except UsageError:
        if _bare(text):
            quoted = shlex.quote(json.dumps(text, ensure_ascii=False))
            raise UsageError(f"{what} must be JSON, and {text} is not. As a JSON string: {quoted}") from None
        raise


def _bare(text: str) -> bool:
    """Whether the quotes are missing, and not a comma or bracket wrong."""
    return bool(text.strip()) and not text.lstrip().startswith(("{", "[", '"'))


def _checked(text: str, place: str) -> str:
    def refuse(name: str) -> NoReturn:
        raise UsageError(f"{place}: {name} is not a JSON number")

    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise UsageError(f"{place} is empty; the JSON for no value is null")
    try:
        json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{place} is not JSON: {error.msg} at {at}") from None
    except RecursionError:
        raise UsageError(f"{place} is nested too deeply") from None
    return text


def _file(name: str, what: str) -> str:
    try:
        return _decoded(Path(name).read_bytes(), name)
    except OSError as error:
        raise UsageError(f"{what} @{name}: {error.strerror or error}") from None


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{place} is not UTF-8 text (byte {error.start})") from None


def labels(given: Iterable[str]) -> dict[str, str]:
    """`k=v` of each `--label`."""
    found = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not (separator and key):
            raise UsageError(f"--label {one}: a label is key=value, for example --label team=legal")
        found[key] = value
    return found


def repeated(command: str, args: argparse.Namespace, *options: str) -> str:
    """The command with those of its options that were given, as somebody types it again."""
    typed = command.split()
    for option in options:
        value = getattr(args, option, None)
        flag = f"--{option.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            if one is True or one == "":  # a flag alone
                typed.append(flag)
            elif one:
                typed += [flag, one]
    return shlex.join(typed)


def words(given: Iterable[str]) -> list[str]:
    """The words of `a,b` and of repeated flags."""
    return [word.strip() for one in given for word in one.split(",") if word.strip()]


def states(given: Iterable[str]) -> list[str]:
    """The contract's names of `--state failed,blocked`."""
    found = []
    for word in words(given):
        name = STATES.get(word.lower().replace("-", "_"))
        if name is None:
            close = difflib.get_close_matches(word.lower(), STATES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(STATES)}"
            raise UsageError(f"--state {word}: there is no such state; {hint}")
        found.append(name)
    return list(dict.fromkeys(found))


def seconds(span: float) -> Duration:
    """A duration of a request."""
    return Duration(seconds=int(span), nanos=round(span % 1 * 1e9))


def span(text: str, flag: str) -> float:
    """Seconds of `30`, `30s`, `2m`, `1.5h`, `7d`."""
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text) / 1000
    except ValueError:
        raise UsageError(f"{flag} {text}: give a duration such as 30s, 2m, 1.5h or 7d") from None


def since(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch of a moment (`2026-05-01`, `2026-05-01T09:12Z`) or of a span before now (`2h`)."""
    try:
        return now_ms - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text}: give a duration (2h, 7d) or a time (2026-05-01T09:12Z)") from None
    return round((moment if moment.tzinfo else moment.astimezone()).astimezone(UTC).timestamp() * 1000)


def escalation_id(text: str) -> str:
    """The contract's id. People may leave out `#1`."""
    step = text.rpartition("/")[2]
    if "/" not in text or not step:
        raise UsageError(
            f"{text} is not an escalation id: <workflow id>/<step>, for example review-118/ask",
            "To list open questions: nervenet escalations list",
        )
    return text if "#" in step else f"{text}#1"
