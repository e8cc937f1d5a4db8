# SPDX-License-Identifier: Apache-2.0
"""What the operating system says of this process, and which release it runs."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nervenet.metrics import catalog

if TYPE_CHECKING:
    from nervenet.metrics.registry import Registry

__all__ = ["read_process"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def read_process(registry: Registry) -> None:
    """Export CPU time, memory and release of this process."""
    build: dict[tuple[str, ...], float] = {(version("nervenet"), platform.python_version()): 1.0}
    registry.read(catalog.BUILD, lambda: build)
    registry.read(catalog.CPU_TIME, time.process_time)
    registry.read(catalog.MEMORY, _resident)


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    except OSError:  # not Linux: the most that it ever was
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
