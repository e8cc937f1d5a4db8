# SPDX-License-Identifier: Apache-2.0
"""An operator at a terminal who asks a mesh with every command, and looks at its pages of metrics."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh
from tests.support.terminal import on_a_terminal

METRICS = {"NERVENET_METRICS": "127.0.0.1:0"}
"""The setting of every process whose page is read."""


class Said(NamedTuple):
    """What a command answered. `seconds`: how long a person waited for it."""

    code: int
    text: str
    seconds: float


class Operator:
    """Asks the node at `address`. Lines are as wide as they need, so that nothing in them is cut."""

    def __init__(self, mesh: ProcessMesh, address: str = "") -> None:
        self._mesh = mesh
        self._env = {**mesh.env, "NERVENET_ADDRESS": address or mesh.addresses}

    def asks(self, command: str) -> Said:
        began = time.monotonic()
        code, text = on_a_terminal(f"nervenet {command} --wide", ROOT, self._env)
        return Said(code, text, time.monotonic() - began)

    def asks_all(self, commands: Iterable[str]) -> dict[str, Said]:
        """All of them, two at the same time."""
        wanted = list(commands)
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(wanted, pool.map(self.asks, wanted), strict=True))

    def metrics(self) -> str:
        """The pages of all processes, one below the other."""
        return "\n".join(_page(process.metrics) for process in self._mesh.processes if process.alive)


def _page(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def has(text: str, words: str) -> bool:
    """Whether a line of the text has these words; `…` stands for anything within the line."""
    pattern = ".*".join(re.escape(part) for part in words.split("…"))
    return re.search(pattern, text) is not None


def lines_about(text: str, name: str) -> str:
    """The lines that have this id."""
    return "\n".join(line for line in text.splitlines() if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line))
