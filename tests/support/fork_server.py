# SPDX-License-Identifier: Apache-2.0
"""A process that has imported nervenet, and forks one that runs `nervenet …` for each request: `tests.support.forked` asks it.

    python tests/support/fork_server.py FD

A program, and not a module to import: the processes that it forks must find nothing of `tests` imported. It has one thread,
and nothing that it imports starts one or connects to anything. So a fork of it is what `python -m nervenet` is after its
imports: an own process, with the environment, the folder, the output, the arguments and the signal handlers of a new one.

A request is one packet: JSON, and the file descriptors of stdin, stdout, stderr and of a pipe for the answer, which is the
process id and, when the process has ended, its exit code as `subprocess` has it (two 32-bit integers). All processes end
with this one, which ends when nobody is left who could ask.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

PACKAGES = ("cli", "client", "process", "node", "agent", "http")
"""What nodes, agents and commands import, sooner or later."""
LARGEST_REQUEST = 1 << 20
PR_SET_PDEATHSIG = 1


def import_all() -> None:
    for package in PACKAGES:
        found = import_module(f"nervenet.{package}")
        for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}."):
            with suppress(ImportError):  # of a library that this environment does not have
                import_module(module.name)


def serve(asking: socket.socket) -> list[str] | None:
    """Fork until nobody asks any more: None. In the process that was forked: its arguments."""
    ours, libc = os.getpid(), ctypes.CDLL(None)
    with selectors.DefaultSelector() as selector, asking:
        selector.register(asking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    report(selector, key.fd, *key.data)
                    continue
                packet, files, _, _ = socket.recv_fds(asking, LARGEST_REQUEST, 4)
                if not packet:
                    return None
                request = json.loads(packet)
                *streams, answer = files
                if (pid := os.fork()) == 0:
                    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                    if os.getppid() != ours:
                        os._exit(1)
                    for other in selector.get_map().values():
                        if other.data is not None:
                            os.close(other.fd)
                            os.close(other.data[1])
                    os.close(answer)
                    return become(request, streams)
                for file in streams:
                    os.close(file)
                os.write(answer, struct.pack("i", pid))
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answer))


def report(selector: selectors.BaseSelector, pidfd: int, pid: int, answer: int) -> None:
    """That process has ended."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    selector.unregister(pidfd)
    os.close(pidfd)
    with suppress(BrokenPipeError):  # nobody waits for it
        os.write(answer, struct.pack("i", code))
    os.close(answer)


def become(request: dict[str, Any], streams: list[int]) -> list[str]:
    """Make this a new process as `subprocess` starts it; its arguments."""
    os.setsid()
    for wanted, given in enumerate(streams):
        os.dup2(given, wanted)
        os.close(given)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = str(Path.cwd())  # as `python -m` has it
    arguments: list[str] = request["arguments"]
    sys.orig_argv[1:] = ["-m", "nervenet", *arguments]
    return arguments


def main() -> list[str] | None:
    import_all()
    assert threading.active_count() == 1, threading.enumerate()
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "an import has started a thread"
    gc.collect()
    gc.freeze()  # or the first collection of each process would copy the memory that all of them share
    return serve(socket.socket(fileno=int(sys.argv[1])))


def run(arguments: list[str]) -> NoReturn:
    """`python -m nervenet …`, to the end of its threads and of what it has registered for the exit.

    Not to the end of the interpreter: to take apart what it shares with the server, a process would first have to copy it.
    """
    sys.argv[:] = ["-m", *arguments]
    code: object = 0
    try:
        runpy.run_module("nervenet", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  # the interpreter's own answer to it
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter calls
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__" and (found := main()) is not None:
    run(found)
