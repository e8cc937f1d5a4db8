# SPDX-License-Identifier: Apache-2.0
"""What CrewAI does to the process that imports it, unless its environment says otherwise.

CrewAI reads these variables when it is imported and when a crew is made: it sends telemetry and replaces the handlers of
SIGTERM and SIGINT, asks at the terminal whether it may trace, and writes to the user's data folder. A node and an agent
need their own handler of SIGTERM to drain. So the variables that you have not set get these values:

    CREWAI_DISABLE_TELEMETRY   true     no telemetry, no signal handlers
    CREWAI_TRACING_ENABLED     false    no traces
    CREWAI_TESTING             true     no question about traces, no file .crewai/last_run.json in the working directory
    CREWAI_STORAGE_DIR         a new temporary folder, which is removed when the process ends

The import itself makes `~/.config/crewai` and `~/.local/share/crewai/credentials/secret.key`; no variable changes that.

A value of yours stays. `CREWAI_STORAGE_DIR` must be an absolute path: CrewAI reads a relative one as the name of a folder
in the user's data folder. It must be set before CrewAI is imported, because parts of CrewAI make the folder then.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

__all__ = ["prepare_environment"]

_DEFAULTS: Final = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_TESTING": "true",
}
_STORAGE: Final = "CREWAI_STORAGE_DIR"


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that are not set.

    Args:
        environment: Where they are set. Default: that of this process.

    Raises:
        ValueError: `CREWAI_STORAGE_DIR` is a relative path.
    """
    for name, value in _DEFAULTS.items():
        environment.setdefault(name, value)
    folder = environment.get(_STORAGE)
    if folder is None:
        environment[_STORAGE] = made = tempfile.mkdtemp(prefix="nervenet-crewai-")
        atexit.register(_remove, made, os.getpid())
    elif not Path(folder).is_absolute():
        raise ValueError(
            f"{_STORAGE} is {folder!r}, which CrewAI reads as a folder below the user's data folder: "
            f"set it to an absolute path, {_STORAGE}={Path(folder).resolve()}"
        )


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # not in a process made by fork
        shutil.rmtree(folder, ignore_errors=True)
