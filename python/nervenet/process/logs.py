# SPDX-License-Identifier: Apache-2.0
"""Logging of a process: one line per record on stderr, for people on a terminal, as JSON for everything else.

Both forms show what a caller adds with `extra={"workflow_id": …}`, and the attempt that runs (`telemetry.log_fields`). Only the handlers of the root logger are set, and only in
a process that nervenet runs: a library must not configure the program that uses it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import IO, Any

from nervenet.config import LogForm
from nervenet.telemetry.log_fields import BoundFields

_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_COLORS = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "31;1"}
_LETTERS = {"DEBUG": "debug", "INFO": "info ", "WARNING": "warn ", "ERROR": "error", "CRITICAL": "fatal"}


def set_up(
    form: LogForm = "auto", level: str = "info", stream: IO[str] | None = None, *, process_number: int = 0
) -> None:
    """Log to `stream` (default: stderr). Other libraries log warnings and errors only, whatever our level is. `process_number`: a
    field of each record, unless it is 0."""
    stream = stream or sys.stderr
    pretty = form == "pretty" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        PrettyFormatter(color=stream.isatty() and not os.environ.get("NO_COLOR")) if pretty else JsonFormatter()
    )
    handler.addFilter(BoundFields())
    if process_number:
        handler.addFilter(lambda record: record.__dict__.setdefault("process_number", process_number) is not None)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("nervenet").setLevel(level.upper())
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_not_about_callers)


def _is_not_about_callers(record: logging.LogRecord) -> bool:
    """False for what gRPC logs, with a traceback, about each answer to a caller that has left, and about each header that is not UTF-8,
    with its value: anybody may leave as often as they like, and a token with a wrong byte is a secret.
    """
    said = record.getMessage()
    return "ExecuteBatchError" not in said and not said.startswith("Invalid encoding on ")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The values that `extra=` added to a record."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and not name.startswith("_")}


class JsonFormatter(logging.Formatter):
    """`{"time": …, "level": …, "logger": …, "message": …, "workflow_id": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PrettyFormatter(logging.Formatter):
    """`09:12:04.131 warn  nervenet.node  the words  workflow_id=review-118`."""

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).astimezone()
        level = _LETTERS.get(record.levelname, record.levelname.lower())
        if self._color:
            level = f"\x1b[{_COLORS.get(record.levelname, '0')}m{level}\x1b[0m"
        said = record.getMessage()
        extra = "".join(f"  {name}={value}" for name, value in fields(record).items() if str(value) not in said)
        clock = f"{when:%H:%M:%S}.{int(record.msecs):03d}"
        line = f"{clock} {level} {record.name.removeprefix('nervenet.')}  {_one_line(said + extra)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _one_line(text: str) -> str:
    """The text with its further lines indented, so that none looks like a record, and without other control characters, which steer terminals."""
    return "".join(
        "\n    " if each == "\n" else each if each.isprintable() or each == "\t" else ascii(each)[1:-1] for each in text
    )
