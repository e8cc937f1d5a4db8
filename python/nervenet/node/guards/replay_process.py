# SPDX-License-Identifier: Apache-2.0
"""The replay check in another process: the order of a set of strings differs only under another hash seed.

    with ReplayProcess([review]) as replay_process:
        await replay_process.ready()
        difference = replay_process.check(machine, entries)

One child process for as long as the owner lives. It imports the modules of the workflows under another PYTHONHASHSEED and
folds what it receives. It keeps nothing between two checks, so a child that was lost, or that cannot import a module, only
means that no difference is found. A test waits for the answer; a node asks from a thread (`ask`), so a long journal, or code
that hangs, delays only the workflow that is checked. The output of the child is discarded: it is what the user's code
prints for the second time. The child starts no mesh of its own (see `imports`) and ends when its owner does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from nervenet.codecs import open_codecs
from nervenet.definitions import Workflow, define_workflow
from nervenet.durable.check import WantedCommands, compare, refold, wanted_commands
from nervenet.imports import MARK, end_with_owner, load_definitions, refuse_here
from nervenet.timing import REPLAY_PROCESS_PATIENCE

if TYPE_CHECKING:
    from nervenet.durable.machine import Machine
    from nervenet.options import CallOptions
    from nervenet.records import Entry, Mismatch


_log = logging.getLogger(__name__)

BATCH: Final = 50
"""Entries in one message: pickling holds the interpreter's lock, for less than a millisecond."""
SEEDS: Final = ("1", "2")


class CodeLocation(NamedTuple):
    """Where a workflow's code is, for a process that has nothing but files."""

    module: str
    file: str
    qualname: str
    name: str
    version: int
    on_error: Any
    defaults: CallOptions | None


class ReplayProcess:
    """See the module. Not thread-safe."""

    def __init__(self, workflows: Iterable[Workflow[Any, Any]], codec: str | None = None) -> None:
        self._codec = codec
        self._places = {(w.name, w.version): found for w in workflows if (found := place(w)) is not None}
        self._absent: dict[tuple[str, int], str] | None = None
        self._ours: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self.turn = asyncio.Lock()
        """Held by the one check that folds in the loop."""
        self._thread = ThreadPoolExecutor(1, "nervenet-elsewhere")  # idle until somebody asks

    def __repr__(self) -> str:
        return f"<ReplayProcess {len(self._places)} workflows, {'no child' if self._ours is None else 'a child'}>"

    def __enter__(self) -> Self:
        """Start the child; it imports while others go on."""
        if not self._places:
            return self
        refuse_here("a replay check")
        ours, theirs = socket.socketpair()
        seed = SEEDS[os.environ.get("PYTHONHASHSEED") == SEEDS[0]]
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(os.getpid())],
                env={**environment(), "PYTHONHASHSEED": seed},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._ours = ours
        send(ours, (self._codec, list(self._places.values())))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.shutdown(wait=False)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()  # first: a check that waits for its answer ends
            self._child.wait()
            self._child = None
        if self._ours is not None:
            self._ours.close()
            self._ours = None

    async def ready(self) -> None:
        """Until the child has imported what it can; what it cannot is in the log."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.wait)

    def wait(self) -> None:
        """The same for who has no loop."""
        self._arrive(None)

    def absent(self, workflow: Workflow[Any, Any]) -> str:
        """Why the child does not have that workflow; "" if it has it, or is not ready."""
        if (workflow.name, workflow.version) not in self._places:
            return f"{workflow.location}: it is made inside a function; put it at the top of its module"
        return (self._absent or {}).get((workflow.name, workflow.version), "")

    def check(self, machine: Machine, entries: Sequence[Entry]) -> Mismatch | None:
        """How a machine there differs from this one; None also where there is none."""
        again = self._ask(machine, entries)
        return None if again is None else compare(machine, again, len(entries))

    async def ask(self, machine: Machine, entries: Sequence[Entry]) -> WantedCommands | None:
        """What a machine there has come to, for who must not block; one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, machine, tuple(entries))

    def _ask(self, machine: Machine, entries: Sequence[Entry]) -> WantedCommands | None:
        key = machine.workflow.name, machine.workflow.version
        if not self._arrive(0.0) or key not in self._places or key in (self._absent or {}):
            return None
        if (ours := self._ours) is None:
            return None
        try:
            ours.settimeout(REPLAY_PROCESS_PATIENCE)
            send(ours, (key, machine.workflow_id, machine.run, machine.payload_limit, len(entries)))
            for at in range(0, len(entries), BATCH):
                send(ours, entries[at : at + BATCH])
            again: WantedCommands | None = None
            while again is None:
                again = receive(ours)
        except (OSError, EOFError) as error:
            _log.warning("the replay check goes on without its other process: %r", error)
            self._stop()
            return None
        return again

    def _arrive(self, timeout: float | None) -> bool:
        """Whether the child has reported what it could not import; waits up to `timeout` seconds for that."""
        if self._absent is not None or (ours := self._ours) is None:
            return self._absent is not None
        try:
            ours.settimeout(timeout)
            ours.recv(1, socket.MSG_PEEK)
            ours.settimeout(REPLAY_PROCESS_PATIENCE)
            self._absent = receive(ours)
        except (BlockingIOError, TimeoutError):
            return False
        except (OSError, EOFError) as error:
            _log.warning("the replay check has no other process: %r", error)
            self._stop()
            return False
        for why in self._absent.values():
            _log.info("the replay check does not know about the order of sets here: %s", why)
        return True


def environment() -> dict[str, str]:
    """Of a child that imports what we have imported, for its definitions."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), MARK: "1"}


def place(workflow: Workflow[Any, Any]) -> CodeLocation | None:
    """For another process; None: no file tells."""
    fn: Any = workflow.fn
    if fn is None or "<locals>" in (qualname := getattr(fn, "__qualname__", "<locals>")):
        return None
    file = getattr(sys.modules.get(fn.__module__), "__file__", None) or ""
    name, version = workflow.name, workflow.version
    return CodeLocation(fn.__module__, file, qualname, name, version, workflow.on_error, workflow.defaults)


# ── the child ────────────────────────────────────────────────────────────────────────────────────────────────────────


def main(channel: socket.socket) -> None:
    """Until the owner is gone."""
    found: dict[tuple[str, int], Workflow[Any, Any]] = {}
    absent: dict[tuple[str, int], str] = {}
    where: CodeLocation
    codec, places = receive(channel)
    codecs = open_codecs(codec)
    for where in places:
        key = where.name, where.version
        try:
            found[key] = find(where)
        except BaseException as error:  # noqa: BLE001  # a module that exits when it is imported, too
            absent[key] = f"{where.module}.{where.qualname}: {type(error).__name__}: {error}"
    send(channel, absent)
    with suppress(EOFError):
        while True:
            key, workflow_id, run, payload_limit, count = receive(channel)
            entries: list[Entry] = []
            while len(entries) < count:
                entries += receive(channel)
            codecs.look()
            folding = refold(found[key], workflow_id, run, payload_limit, entries, codecs)
            machine = next(folding)
            for _ in folding:
                send(channel, None)  # still at it
            send(channel, wanted_commands(machine))
            machine.close()


def find(where: CodeLocation) -> Workflow[Any, Any]:
    """The definition by its code. Its options are the owner's, who may have got it through another mesh."""
    there: Any = load_definitions(where.module, where.file)
    for part in where.qualname.split("."):
        there = getattr(there, part)
    if not isinstance(there, Workflow):
        there = define_workflow(there, name=where.name, version=where.version)
    elif (there.name, there.version) != (where.name, where.version):
        assert there.fn is not None
        there = define_workflow(there.fn, name=where.name, version=where.version)
    return replace(there, on_error=where.on_error, defaults=where.defaults)


def send(channel: socket.socket, value: object) -> None:
    """One value to the other side."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(len(data).to_bytes(8, "big") + data)


def receive(channel: socket.socket) -> Any:
    """One value from the other side; EOFError: it is gone."""
    return pickle.loads(_exactly(channel, int.from_bytes(_exactly(channel, 8), "big")))  # noqa: S301  # from our own child, or its owner


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (more := channel.recv(min(1 << 20, size - len(data)))):
            raise EOFError("it is gone")
        data += more
    return bytes(data)


if __name__ == "__main__":
    end_with_owner(int(sys.argv[2]), int(sys.argv[1]))
    main(socket.socket(fileno=int(sys.argv[1])))
