# SPDX-License-Identifier: Apache-2.0
"""The description of a system that is measured beside nervenet."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nervenet.dev.servers import Server

Backing = Literal["valkey", "etcd", "postgres"]
CALLERS = "client"
"""The column of the CPU of what starts workflows and waits for their results."""


@dataclass(frozen=True)
class Peer:
    """A system, as its own documentation recommends to run it in production.

    Attributes:
        name: In the rows.
        module: The file in peers/ whose functions its processes run.
        environment: The lock requirements/bench-NAME.txt.
        distributions: Whose versions the rows show.
        durability: What survives `kill -9` of what.
        processes: Function → column of the CPU, in the order of their start. The last one has the callers.
        coordinator: The column whose memory is that of the coordinating process.
        servers: What it needs beside its processes.
        program: Its own server, made from the Python of its environment and an empty folder. Its CPU is that of the coordinator.
        also: What else the rows show as its version.
        settings: Environment variables of its processes.
        garbage: Keys in Valkey that are deleted between two measurements.
    """

    name: str
    module: str
    environment: str
    distributions: tuple[str, ...]
    durability: str
    processes: Mapping[str, str]
    coordinator: str
    servers: tuple[Backing, ...] = ()
    program: Callable[[Path, Path], Server] | None = None
    also: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    garbage: tuple[str, ...] = ()


def ready(what: object = "ready") -> None:
    """Tell the benchmark that this process serves; an address is passed on to the processes that start after it."""
    print(json.dumps(what), flush=True)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
