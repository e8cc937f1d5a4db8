# SPDX-License-Identifier: Apache-2.0
"""Where in the user's code a failure was raised."""

from __future__ import annotations

import re
from pathlib import Path

from rich.text import Text

from nervenet.cli.render.text import clean
from nervenet.v1 import common_pb2 as common

_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)$')


def frames(failure: common.Failure, most: int) -> list[Text]:
    """The last frames of user code, the innermost last: `    at app.py:27 in fetch: raise ValueError(item)`."""
    found: list[str] = []
    lines = _stack(failure).splitlines()
    for at, line in enumerate(lines):
        frame = _FRAME.match(line)
        if frame is None:
            continue
        code = lines[at + 1].strip() if at + 1 < len(lines) and not _FRAME.match(lines[at + 1]) else ""
        where = f"at {_near(frame['file'])}:{frame['line']} in {frame['name']}"
        found.append(clean(f"{where}: {code}" if code else where))
    return [Text(f"    {line}", style="dim") for line in found[-most:]]


def _stack(failure: common.Failure) -> str:
    """Its own frames, or those of what it came from."""
    while not failure.stack_trace and failure.HasField("cause"):
        failure = failure.cause
    return failure.stack_trace


def _near(path: str) -> str:
    """Relative to the working directory, if it is below that."""
    return path.removeprefix(f"{Path.cwd()}/")
