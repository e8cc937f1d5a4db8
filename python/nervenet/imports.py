# SPDX-License-Identifier: Apache-2.0
"""Importing a user's program for its definitions, in a process that must not become another mesh.

    end_with_owner(owner_pid, channel.fileno())
    module = load_definitions("__main__", "/app/shop.py")

Several processes import the file that a mesh was started from: the other process of the replay check, the workers of
`run="process"`, `nervenet node hello.py`. A program whose last line is `asyncio.run(main())`, without
`if __name__ == "__main__":`, would start its mesh there again, which would start such processes again, without end.

So whatever starts a mesh or a server asks `refuse_here` first, and that raises StartsMesh while definitions alone are
wanted. The program then ends at that line, and what it has defined by then is what its own process had defined when its
mesh began. The mark is an environment variable, so that a process which the program starts at its import is refused too.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Final

PROGRAM: Final = "__mp_main__"
MARK: Final = "NERVENET_DEFINITIONS_ONLY"
_PR_SET_PDEATHSIG: Final = 1


class StartsMesh(SystemExit):
    """A file that is imported for its definitions starts a mesh. Put that under `if __name__ == "__main__":`.

    SystemExit is what asyncio, threads and `except Exception` let through at once and in silence.
    """


def refuse_here(what: str) -> None:
    """Raise StartsMesh where only definitions are wanted. `what` would be started: "a node"."""
    if os.environ.get(MARK):
        raise StartsMesh(
            f"nervenet: {what} is not started while a file is imported for its definitions: put what starts it under "
            'if __name__ == "__main__":'
        )


@contextmanager
def definitions_only() -> Iterator[None]:
    """Nothing starts a mesh while the block runs, neither here nor in a process that is started meanwhile."""
    before = os.environ.get(MARK)
    os.environ[MARK] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(MARK, None)
        else:
            os.environ[MARK] = before


def load_definitions(module: str, file: str) -> ModuleType:
    """A module of the owner's, by its name or else its file, once; of one that starts a mesh, what it defines before that.

    The owner's program (`__main__`) is imported under the name that multiprocessing gives it too. Raises ImportError, and
    whatever else the module raises.
    """
    name = PROGRAM if module == "__main__" else module
    if name in sys.modules:
        return sys.modules[name]
    with definitions_only():
        if name != PROGRAM:
            with suppress(ModuleNotFoundError, StartsMesh):  # a test runner may have loaded a file that is on no path
                return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"the program has no file that can be imported: {file!r}")
        found = sys.modules[name] = importlib.util.module_from_spec(spec)
        with suppress(StartsMesh):
            spec.loader.exec_module(found)
    return found


def end_with_owner(owner_pid: int, channel: int) -> None:
    """End this process when its owner ends, whatever it is doing, and leave Ctrl-C to the owner.

    Linux kills it when the thread that forked it ends, which is sooner and needs no thread of ours that gets its turn;
    everywhere the other end of `channel` (a socket or a pipe) closes with the owner.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner_pid:
            os._exit(0)
    threading.Thread(target=_end_at_hangup, args=(channel,), name="nervenet-owner", daemon=True).start()


def _end_at_hangup(channel: int) -> None:
    hangup = select.poll()
    hangup.register(channel, 0)
    hangup.poll()
    os._exit(0)
