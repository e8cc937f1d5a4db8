# SPDX-License-Identifier: Apache-2.0
"""`nervenet …` as a process that is forked from one which has imported nervenet already (`fork_server`).

    process = start_nervenet(["node", "app.py"], stdin=null, stdout=log, stderr=log, cwd=folder, env=environment)
    process.wait(20)

It is a process as any other: its own id, session, signals, environment, folder and output, and it dies with this one. It only
has not to import for half a second first. `can_fork` says where a new interpreter is needed instead: outside of
`forking()`, which is where pytest runs and no program that tests; on systems other than Linux; and for an environment that Python or a C library reads once,
at its start. Two servers take turns, so that the processes of a mesh differ in the order of their sets, as real ones do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SERVERS = 2
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "SSL_", "GRPC_", "TZ")
"""How the names of variables begin that decide something before, or while, nervenet is imported."""


class ForkedProcess:
    """A process of a fork server; like `subprocess.Popen`, as far as tests use that."""

    def __init__(self, arguments: Sequence[str], answer: int) -> None:
        self.args = ["nervenet", *arguments]
        self.returncode: int | None = None
        self._answer = answer
        self._reading = threading.Lock()
        self.pid = self._next()
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._pidfd = -1  # it has ended, and its exit code is on the way

    def __repr__(self) -> str:
        return f"<ForkedProcess {self.pid} {self.args} {self.returncode}>"

    def __del__(self) -> None:
        for file in (self._answer, self._pidfd):
            if file >= 0:
                os.close(file)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._await(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code.

        Raises:
            TimeoutExpired: it runs for longer than that many seconds.
        """
        code = self._await(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, signum: int) -> None:
        """Nothing happens where it has ended."""
        if self.poll() is None and self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _await(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._answer, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                with self._reading:
                    if self.returncode is None:
                        self.returncode = self._next()
        return self.returncode

    def _next(self) -> int:
        found = os.read(self._answer, 4)
        assert found, f"the fork server has ended before {self.args}"
        number: int = struct.unpack("i", found)[0]
        return number


class ForkServer:
    """One process that imports and forks, for as long as this one lives."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = str(Path(__file__).with_name("fork_server.py"))
            self._process = subprocess.Popen(
                [sys.executable, program, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is for the test
            )

    def start(
        self, arguments: Sequence[str], files: Sequence[int], cwd: Path | str, env: Mapping[str, str]
    ) -> ForkedProcess:
        request = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}).encode()
        answer, theirs = os.pipe()
        try:
            socket.send_fds(self._socket, [request], [*files, theirs])
        finally:
            os.close(theirs)
        return ForkedProcess(arguments, answer)

    def stop(self) -> None:
        """It ends, and all that it has forked."""
        self._socket.close()
        self._process.wait()


class ForkServers:
    """The servers of this process, started when the first process is wanted."""

    def __init__(self) -> None:
        self.enabled = False
        self._lock = threading.Lock()
        self._servers: list[ForkServer] = []
        self._turns: Iterator[ForkServer] = iter(())

    def next(self) -> ForkServer:
        with self._lock:
            if not self._servers:
                self._servers = [ForkServer() for _ in range(SERVERS)]
                self._turns = itertools.cycle(self._servers)
            return next(self._turns)

    def stop(self) -> None:
        self.enabled = False
        with self._lock:
            while self._servers:
                self._servers.pop().stop()


_ours = ForkServers()


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """What starts within this block by `start_nervenet` is forked, where `can_fork` says so."""
    _ours.enabled = True
    try:
        yield
    finally:
        _ours.stop()


def can_fork(env: Mapping[str, str] | None) -> bool:
    """Whether a forked process would be the same as one that begins with this environment (None: with ours)."""
    if not _ours.enabled or not sys.platform.startswith("linux"):
        return False
    return env is None or _at_start(env) == _at_start(os.environ)


def start_nervenet(
    arguments: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    cwd: Path | str,
    env: Mapping[str, str] | None = None,
) -> ForkedProcess:
    """Fork `nervenet …` with these files; ask `can_fork` before."""
    return _ours.next().start(arguments, (stdin, stdout, stderr), cwd, os.environ if env is None else env)


def run_nervenet(
    arguments: Sequence[str], *, stdin: str | None, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """`nervenet …` to its end, as `subprocess.run` with its output as text."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((stdin or "").encode())
        given.seek(0)
        files = {"stdin": given.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
        process = start_nervenet(arguments, **files, cwd=cwd, env=env)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(process.args, code, out.read().decode(), err.read().decode())


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_START)}
