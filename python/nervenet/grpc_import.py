# SPDX-License-Identifier: Apache-2.0
"""`grpc` for all our modules, imported so that the thread that waits for completions also reads the sockets.

    from nervenet.grpc_import import grpc

From 1.80 on, threads of gRPC's EventEngine read the sockets and wake the waiting thread, which wakes the event loop: a lone call
waits 14 times instead of 6 (docs/decisions/0062). Up to 1.85 GRPC_EXPERIMENTS still chooses. gRPC reads it once, while it is
imported, so it is set for that moment only and no child process inherits it. A process that sets the variable, or has imported
grpc before, has chosen for itself.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["grpc", "minor_release"]

_VARIABLE: Final = "GRPC_EXPERIMENTS"
_WITHOUT_ITS_THREADS: Final = "-event_engine_client,-event_engine_listener"
_FIRST_WITH_A_CHOICE: Final = (1, 80)
_LAST_WITH_A_CHOICE: Final = (1, 85)
"""A later release complains about names that it no longer knows."""


def minor_release() -> tuple[int, int] | None:
    """The installed minor release of grpcio, such as (1, 85). None if it does not say, as somebody's own build."""
    try:
        major, minor, *_ = version("grpcio").split(".")
        return int(major), int(minor)
    except (PackageNotFoundError, ValueError):
        return None


def _has_a_choice() -> bool:
    release = minor_release()
    return release is not None and _FIRST_WITH_A_CHOICE <= release <= _LAST_WITH_A_CHOICE


_chooses = "grpc" not in sys.modules and _VARIABLE not in os.environ and _has_a_choice()
if _chooses:
    os.environ[_VARIABLE] = _WITHOUT_ITS_THREADS
try:
    import grpc
    import grpc.aio
finally:
    if _chooses:
        del os.environ[_VARIABLE]
