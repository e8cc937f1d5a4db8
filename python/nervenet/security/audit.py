# SPDX-License-Identifier: Apache-2.0
"""The audit log: one JSON line for each call that changes something, and for each refusal, written before the act.

    log = AuditLog(FileSink("/var/log/nervenet/audit.jsonl"))
    await log.write({"rpc": "CancelWorkflow", …})      # it is written; or Unavailable, and the call must not be made
    await log.close()

A thread of its own writes, so that a slow disk does not stop the event loop. It takes all lines that wait in one write, and
calls that come together cost one. The log fails closed: a call whose line cannot be written within `AUDIT_WRITTEN_WITHIN`
seconds is refused.

Rejected: `fsync` for each group. A line survives the death of the process, and is lost if the machine loses power in the
seconds after; a sink that must survive that belongs on another machine (`otlp`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from nervenet.errors import ConfigError, Unavailable
from nervenet.timing import AUDIT_WRITTEN_WITHIN

__all__ = ["AuditLog", "FileSink", "Sink", "StreamSink", "unwritable"]

MOST_WAITING: Final = 10_000
"""Lines that wait to be written; a call above that is refused at once."""
MOST_IN_GROUP: Final = 1_000

_log = logging.getLogger(__name__)

Record = Mapping[str, Any]


class Sink(Protocol):
    """Where the lines go. Both methods are called in the writing thread."""

    def write(self, records: Sequence[Record]) -> None:
        """Write them all, or raise OSError."""
        ...

    def close(self) -> None: ...


class FileSink:
    """Appends to a file. A file that was renamed or removed, as log rotation does, is opened again under its name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        try:
            self._file = self._open()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"audit {path}: {why}: NERVENET_AUDIT is a file that this process can write, - for standard output, or otlp"
            ) from None

    def __repr__(self) -> str:
        return f"<FileSink {self._path}>"

    def write(self, records: Sequence[Record]) -> None:
        if not self._is_there():
            os.close(self._file)
            self._file, self._torn = self._open(), False
        data = lines(records)
        if self._torn:  # the rest of a line that did not fit: the next one begins on a line of its own
            data = b"\n" + data
        self._torn = True
        while data:
            data = data[os.write(self._file, data) :]
        self._torn = False

    def close(self) -> None:
        os.close(self._file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _is_there(self) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return False


class StreamSink:
    """Writes to standard output."""

    def __init__(self, number: int = 1) -> None:
        self._number = number

    def write(self, records: Sequence[Record]) -> None:
        sys.stdout.flush()
        data = lines(records)
        while data:
            data = data[os.write(self._number, data) :]

    def close(self) -> None:
        pass


def lines(records: Sequence[Record]) -> bytes:
    """One line of JSON for each record. Line breaks and control characters in names are escaped."""
    return "".join(f"{json.dumps(record, separators=(',', ':'))}\n" for record in records).encode()


class _Waiting(NamedTuple):
    """A record, and who waits for it."""

    record: Record
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class AuditLog:
    """One for each process."""

    def __init__(self, sink: Sink, within: float = AUDIT_WRITTEN_WITHIN) -> None:
        self._sink = sink
        self._within = within
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="nervenet audit log", daemon=True)
        self._thread.start()
        self._failing = False

    def __repr__(self) -> str:
        return f"<AuditLog to {self._sink!r}, {self._waiting.qsize()} lines wait>"

    async def write(self, record: Record) -> None:
        """Returns when the line is written. Raises Unavailable: the call must not be made."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(record, loop, loop.create_future())
        try:
            self._waiting.put_nowait(waiting)
            async with asyncio.timeout(self._within):
                await waiting.done
        except queue.Full:
            raise unwritable(f"{MOST_WAITING:,} lines wait") from None
        except TimeoutError:
            raise unwritable(f"it took longer than {self._within:g} s") from None
        except OSError as error:
            raise unwritable(error.strerror or str(error)) from None

    async def close(self) -> None:
        """Write what waits, then end."""
        await asyncio.to_thread(self._waiting.put, None)
        await asyncio.to_thread(self._thread.join, self._within)

    def _run(self) -> None:
        while group := self._group():
            error = self._write([one.record for one in group])
            for loop in {one.loop for one in group}:
                told = [one.done for one in group if one.loop is loop]
                try:
                    loop.call_soon_threadsafe(_tell, told, error)
                except RuntimeError:  # that loop is closed: nobody waits any more
                    continue
        self._sink.close()

    def _group(self) -> list[_Waiting]:
        """All lines that wait; none: the log is closed."""
        first = self._waiting.get()
        group = [] if first is None else [first]
        while group and len(group) < MOST_IN_GROUP:
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                break
            if one is None:
                self._waiting.put(None)  # for the next round
                break
            group.append(one)
        return group

    def _write(self, records: Sequence[Record]) -> OSError | None:
        try:
            self._sink.write(records)
        except OSError as error:
            self._note(error)
            return error
        except Exception as error:  # noqa: BLE001  # whatever a sink raises: the line is not written
            self._note(error)
            return OSError(f"{type(error).__name__}: {error}")
        if self._failing:
            self._failing = False
            _log.warning("the audit log can be written again")
        return None

    def _note(self, error: Exception) -> None:
        if not self._failing:
            _log.error(
                "the audit log cannot be written (%r): calls that change something are refused: %s", self._sink, error
            )
        self._failing = True


def _tell(futures: Sequence[asyncio.Future[None]], error: OSError | None) -> None:
    for future in futures:
        if future.done():  # its caller has left
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def unwritable(why: str) -> Unavailable:
    """The refusal of a call whose line could not be written."""
    return Unavailable(
        f"this node cannot write its audit log ({why}), so it changes nothing; ask another node, or its operator",
        code="UNAVAILABLE",
        reason="AUDIT_UNWRITABLE",
    )
