# SPDX-License-Identifier: Apache-2.0
"""The two folders of a development mesh: the data it keeps, which only one may use, and the app, whose changes count."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from nervenet.errors import NervenetError

Snapshot = dict[str, tuple[int, int]]


class DataInUse(NervenetError):
    """Another `nervenet dev` uses this folder. Stop that one, or choose another folder (--data)."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and lock it. The system releases the lock when the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise DataInUse(
                f"{folder} is used by another nervenet dev{f' (pid {owner})' if owner else ''}: "
                "stop that one, or choose another folder with --data"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def app_folder(app: str) -> Path:
    """The folder whose files belong to the app: that of the file (above its packages), or the working directory."""
    place = app.rpartition(":")[0] or app
    if not (place.endswith(".py") or "/" in place):
        return Path.cwd()
    folder = Path(place).resolve().parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def snapshot(folder: Path) -> Snapshot:
    """Every Python file with its time and size, without hidden folders and virtual environments."""
    found: Snapshot = {}
    waiting = [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:  # folders come and go
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not _foreign(entry):
                        waiting.append(entry.path)
                elif entry.name.endswith(".py"):
                    about = entry.stat()
                    found[entry.path] = (about.st_mtime_ns, about.st_size)
    return found


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """The names of the files that are new, missing or different."""
    paths = {path for path, _ in before.items() ^ after.items()}
    return sorted({Path(path).name for path in paths})


def _foreign(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith((".", "__pycache__")) or entry.name in ("node_modules", "site-packages"):
        return True
    return Path(entry.path, "pyvenv.cfg").exists()
