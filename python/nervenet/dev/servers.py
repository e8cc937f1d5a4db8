# SPDX-License-Identifier: Apache-2.0
"""Embedded Valkey and etcd as values: enter the block and it serves, leave it and it is gone.

    async with backing() as (redis, etcd):
        print(redis.url, etcd.url)

Hides the search for the program, a free port, the wait until it really serves, and the cleaning up. Each server is
watched by one thread of its own, which forks it, reads its log and reaps it. That thread matters: Linux ties "die with
your parent" to the forking *thread*, and this one lives exactly as long as its child (a pool's or a test's thread would
take the server along). The tie is knotted by a small launcher that then becomes the server: a `preexec_fn` would run
Python between fork and exec, which hangs once gRPC has started threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from nervenet.dev.binaries import find_etcd, find_valkey
from nervenet.errors import NervenetError
from nervenet.imports import refuse_here

READY_WITHIN = 30.0
"""Seconds a server may take: a loaded machine with slow disks is slow, not broken."""
SOCKET = "valkey.sock"
LONGEST_SOCKET = 100
"""Bytes of a socket's path, which Linux and macOS limit to about as many. With a longer one there is none."""

_TIE = """
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""PR_SET_PDEATHSIG(SIGKILL), then become the command; unless the parent died before that could be said."""


class ServerFailed(NervenetError):
    """An embedded server did not start. The message has the end of its log."""


def tied(command: Sequence[str]) -> list[str]:
    """`command`, made to die with the thread that forks it (Linux; the command itself elsewhere)."""
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command]


def free_port() -> int:
    """A port that was free a moment ago. Another process may take it first: then ask again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One embedded server process; made by `valkey` and `etcd`. `restart` keeps its port and its data."""

    def __init__(
        self,
        name: str,
        command: Callable[[int, Path], list[str]],
        ready_line: str,
        *,
        scheme: str,
        data: Path | None,
        port: int,
        probe: Callable[[str], bool] = lambda url: True,
    ) -> None:
        self.name = name
        self._command, self._ready_line, self._probe = command, ready_line, probe
        self._scheme, self._wanted_port, self._keep = scheme, port, data
        self.port = port
        self.data = data or Path()
        self._made: Path | None = None
        self._scratch: Path | None = None  # a folder of our own making: nothing else is ever removed
        self._process: subprocess.Popen[bytes] | None = None
        self._log: deque[str] = deque(maxlen=40)
        self._ready = threading.Event()
        self._watcher: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<{self.name} {self.url} {f'pid {self.pid}' if self.alive else 'down'}>"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def local_url(self) -> str:
        """The URL for processes on this machine: of its socket, if it has one. A command through it costs less than over TCP."""
        path = self.data.absolute() / SOCKET
        return f"unix://{urllib.parse.quote(str(path))}?db=0" if path.is_socket() else self.url

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed(f"{self.name} was not started")
        return self._process.pid

    @property
    def log(self) -> str:
        """The last lines that the server wrote."""
        return "\n".join(self._log)

    def start(self) -> None:
        """Start and wait until it serves. Blocks; `async with` and `restart` do it beside the loop."""
        refuse_here(self.name)
        if self._keep is None:
            self.data = self._scratch = Path(tempfile.mkdtemp(prefix=f"nervenet-{self.name}-"))
        self.data.mkdir(parents=True, exist_ok=True)
        try:
            self._serve(tries=1 if self._wanted_port else 5)
        except BaseException:
            self.stop()
            raise

    def stop(self, grace: float = 5.0) -> None:
        """SIGTERM, after `grace` seconds SIGKILL; then remove data that nobody asked to keep."""
        self.kill(signal.SIGCONT)
        self.kill(signal.SIGTERM)
        if not self._gone(grace):
            self.kill()
            self._gone(None)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send a signal (default: SIGKILL) without waiting for what it does; a dead server takes it in silence."""
        if self._process is not None:
            self._process.send_signal(signum)

    async def restart(self) -> None:
        """Kill it if it lives, and serve again on the same port and data (without `data=`, Valkey comes back empty)."""
        await asyncio.to_thread(self._restart)

    def _restart(self) -> None:
        self.kill()
        self._gone(None)
        self._serve(tries=1)

    def _serve(self, tries: int) -> None:
        for left in range(tries - 1, -1, -1):
            self.port = self.port or free_port()
            self._log.clear()
            self._ready.clear()
            spawned = threading.Event()
            self._watcher = threading.Thread(
                target=self._watch, args=(spawned,), name=f"{self.name}-{self.port}", daemon=True
            )
            self._watcher.start()
            spawned.wait()
            if self._came_up():
                return
            lost_race = "ddress already in use" in self.log
            self.kill()
            self._gone(None)
            if not (left and lost_race):
                raise ServerFailed(f"{self.name} on port {self.port} did not start. The end of its log:\n{self.log}")
            self.port = 0

    def _watch(self, spawned: threading.Event) -> None:
        try:
            process = self._process = subprocess.Popen(
                tied(self._command(self.port, self.data)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for us: servers go last
            )
        except OSError as error:
            self._log.append(str(error))
            self._process = None
            self._ready.set()
            return
        finally:
            spawned.set()
        assert process.stdout is not None
        self._read(process.stdout)
        process.wait()
        self._ready.set()  # code that waits sees that the server has stopped

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                self._log.append(line)
                if self._ready_line in line:
                    self._ready.set()

    def _came_up(self) -> bool:
        deadline = time.monotonic() + READY_WITHIN
        if not self._ready.wait(READY_WITHIN):
            self._log.append(f"(not ready within {READY_WITHIN:.0f} s)")
            return False
        while self.alive and time.monotonic() < deadline:
            if self._probe(self.url):
                return True
            time.sleep(0.01)
        return False

    def _gone(self, timeout: float | None) -> bool:
        if self._watcher is not None:
            self._watcher.join(timeout)
            return not self._watcher.is_alive()
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await _finish(self.start, undo=self.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _finish(self.stop)


async def _finish(step: Callable[[], None], undo: Callable[[], None] | None = None) -> None:
    """Run a blocking step in a thread. When cancelled, still wait for its end, so that nothing is left behind."""
    work = asyncio.ensure_future(asyncio.to_thread(step))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await work
        if undo:
            await asyncio.to_thread(undo)
        raise


def valkey(data: Path | None = None, *, port: int = 0, options: Mapping[str, str] | None = None) -> Server:
    """A Valkey (or Redis) on 127.0.0.1 and at a socket in its folder; with `data` it appends to a file every second and keeps it there."""
    program = find_valkey()

    def command(port: int, folder: Path) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(port),
            **({"unixsocket": str(at)} if len(os.fsencode(at := folder.absolute() / SOCKET)) <= LONGEST_SOCKET else {}),
            "dir": str(folder),
            "daemonize": "no",
            "logfile": "",
            "save": "",
            "appendonly": "yes" if data else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        return [str(program), *(part for key, value in _merged(settings, options) for part in (f"--{key}", value))]

    return Server("valkey", command, "Ready to accept connections", scheme="redis", data=data, port=port)


def etcd(data: Path | None = None, *, port: int = 0, options: Mapping[str, str] | None = None) -> Server:
    """A single-member etcd on 127.0.0.1; without `data` it does not fsync, since nobody will read it again."""
    program = find_etcd()

    def command(port: int, folder: Path) -> list[str]:
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
        settings = {
            "name": "dev",
            "data-dir": str(folder / "member"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"dev={peer}",
            "heartbeat-interval": "50",  # a member without peers elects itself after this timeout: half a second to wait
            "election-timeout": "500",
            "auto-compaction-mode": "revision",
            "auto-compaction-retention": "10000",
            "unsafe-no-fsync": "false" if data else "true",
            "log-outputs": "stderr",
        }
        return [str(program), *(f"--{key}={value}" for key, value in _merged(settings, options))]

    ready = "ready to serve client requests"
    return Server("etcd", command, ready, scheme="http", data=data, port=port, probe=_etcd_healthy)


def _merged(settings: Mapping[str, str], options: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return list({**settings, **(options or {})}.items())


def _etcd_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return b'"true"' in answer.read()
    except OSError:
        return False


@contextlib.asynccontextmanager
async def backing(data: Path | None = None) -> AsyncIterator[tuple[Server, Server]]:
    """Both servers of a mesh, started at the same time. `data` keeps their data in its folders `valkey` and `etcd`."""
    pair = valkey(data and data / "valkey"), etcd(data and data / "etcd")
    async with contextlib.AsyncExitStack() as stack:
        # All answers are awaited before the first error is raised: the stack must know each server that came up.
        for answer in await asyncio.gather(*map(stack.enter_async_context, pair), return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
        yield pair
