# SPDX-License-Identifier: Apache-2.0
"""Finds the last line of a workflow that killed its nodes, without risking another node.

    where = await asyncio.to_thread(last_line, workflow, workflow_id, run, entries)     # "review.py:27"

A run that ended or stalled three nodes is BLOCKED and not run again, so no node knows the line. A child process folds its
journal once more, line by line. Before each line of the user's code runs, the child writes it into a file that both
processes map; whatever the code then does to the child, the last line remains. The child has its own session, little
memory and a few seconds of time. Rejected: to write every line on every node, which would slow down every workflow for the
few that need it.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

from nervenet import errors
from nervenet.codecs import open_codecs
from nervenet.definitions import Workflow
from nervenet.durable.check import rebuild
from nervenet.durable.lines import Site, is_machinery
from nervenet.heap import memory_in_use
from nervenet.imports import end_with_owner
from nervenet.node.guards.replay_process import environment, find, place, receive, send
from nervenet.records import Entry

IMPORTS: Final = 30.0
FOLDS: Final = 3.0
"""Seconds for the import of the user's code, and for the fold: code that takes longer stands where it is found then."""
NOTE: Final = 512
MEMORY: Final = 512 << 20
"""What the fold may take, in bytes, beyond what the imports did."""
Tracer: TypeAlias = Callable[[FrameType, str, Any], Any]


def last_line(
    workflow: Workflow[Any, Any], workflow_id: str, run: int, entries: Sequence[Entry], codec: str | None = None
) -> str:
    """Where the code was when it took the child with it, or its time was over; "" when neither, or nobody can tell."""
    where = place(workflow)
    if where is None:
        return ""
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as file:
        file.truncate(NOTE)
        with theirs:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(file.fileno()), str(os.getpid())],
                env=environment(),
                pass_fds=(theirs.fileno(), file.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            ours.settimeout(IMPORTS)
            send(ours, (where, workflow_id, run, list(entries), codec))
            receive(ours)  # the code is there
            ours.settimeout(FOLDS)
            receive(ours)  # it came through
        except (OSError, EOFError):
            return os.pread(file.fileno(), NOTE, 0).rstrip(b"\0").decode(errors="replace")
        finally:
            child.kill()
            child.wait()
    return ""


# ── the child ────────────────────────────────────────────────────────────────────────────────────────────────────────


def main(channel: socket.socket, note: mmap.mmap) -> None:
    """Fold one journal; say when the code is there, and when it came through."""
    import resource  # not on every system that a node may be imported on

    where, workflow_id, run, entries, codec = receive(channel)
    workflow = find(where)
    send(channel, "imported")
    most = _memory() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.settrace(tracer(note))
    rebuild(workflow, workflow_id, run, entries, open_codecs(codec))
    sys.settrace(None)
    send(channel, "through")


def tracer(note: mmap.mmap) -> Tracer:
    """Notes each line of the user's before it runs."""
    machinery: dict[str, bool] = {}
    ours = str(Path(errors.__file__).parent) + os.sep  # the package

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            note[:] = str(Site(frame.f_code, frame.f_lineno)).encode()[:NOTE].ljust(NOTE, b"\0")
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in machinery:
            machinery[file] = file.startswith(ours) or is_machinery(file)
        return None if machinery[file] else line

    return call


def _memory() -> int:
    """The address space in use, in bytes; where it is not told, a limit that nothing reaches."""
    return memory_in_use()[0] or 1 << 42


if __name__ == "__main__":
    end_with_owner(int(sys.argv[3]), int(sys.argv[1]))
    main(socket.socket(fileno=int(sys.argv[1])), mmap.mmap(int(sys.argv[2]), NOTE))
