# SPDX-License-Identifier: Apache-2.0
"""Lines of the user's code, for messages: `review.py:27`.

Blocked runs, NotDurable errors and reports of slow code have a line, and it must be the user's, not asyncio's or
nervenet's. All of this is for error paths; the hot path only keeps a code object and a line number (`Site`).
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
_DEBUGGERS = ("bdb", "pdb", "pydevd", "_pydevd_bundle")
_OURS = (
    *(_PACKAGE + part + os.sep for part in ("agent", "durable", "testing")),
    *(_PACKAGE + part for part in ("definitions.py", "options.py", "payloads.py")),
)


class Site(NamedTuple):
    """A line of code, not formatted yet; for a workflow given as data, the step as text."""

    code: CodeType | str
    line: int = 0

    def __str__(self) -> str:
        if isinstance(self.code, str):
            return self.code
        return f"{os.path.basename(self.code.co_filename)}:{self.line}"


def is_machinery(filename: str) -> bool:
    """Whether a file belongs to asyncio, the standard library or nervenet, so its lines do not help the user."""
    if filename.startswith("<frozen"):
        return True
    if "site-packages" in filename:
        return True
    return filename.startswith((_STDLIB, *_OURS))


def user_frame(frame: FrameType | None) -> tuple[FrameType | None, FrameType | None]:
    """The innermost frame of user code, and the frame that it called (None where the user's is the innermost)."""
    inner: FrameType | None = None
    while frame is not None and is_machinery(frame.f_code.co_filename):
        inner, frame = frame, frame.f_back
    return frame, inner


def site_of(frame: FrameType | None) -> Site | None:
    """The user's line that led to this frame, if any of the callers is the user's."""
    found, _ = user_frame(frame)
    return None if found is None else Site(found.f_code, found.f_lineno)


def frames_of(coro: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, outermost first, through what it awaits."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None) or getattr(coro, "ag_frame", None)
        if frame is not None:
            yield frame
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None) or getattr(coro, "ag_await", None)


def line_of_coroutine(coro: Any) -> str:
    """Where a suspended coroutine stands: its innermost user frame ("" when it has none)."""
    users = [frame for frame in frames_of(coro) if not is_machinery(frame.f_code.co_filename)]
    return str(Site(users[-1].f_code, users[-1].f_lineno)) if users else ""


def line_of_traceback(traceback: TracebackType | None) -> str:
    """The innermost user line of a traceback ("" when it has none)."""
    found = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_machinery(code.co_filename):
            found = str(Site(code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def is_debugged(frame: FrameType | None) -> bool:
    """Whether a debugger has stopped this frame: the debugger's frames are then above the user's."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False


def is_importing(frame: FrameType | None) -> bool:
    """Whether nervenet imports a library that it needs only now. A busy machine makes that slow, not the workflow."""
    called = ""
    while frame is not None:
        if called.startswith("<frozen importlib") and frame.f_code.co_filename.startswith(_PACKAGE):
            return True
        called, frame = frame.f_code.co_filename, frame.f_back
    return False


def called_name(inner: FrameType | None, method: str) -> str:
    """How the user wrote the call that went wrong: `asyncio.to_thread()`, or `loop.add_reader()` when called
    directly."""
    if inner is None or inner.f_code.co_filename.startswith(_PACKAGE):
        return f"loop.{method}()"
    module = str(inner.f_globals.get("__name__", "")).partition(".")[0]
    return f"{module}.{inner.f_code.co_name}()"
