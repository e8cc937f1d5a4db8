# SPDX-License-Identifier: Apache-2.0
"""The processes of a benchmark: started, asked in JSON lines, measured from /proc, and gone with the benchmark."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from nervenet.dev.servers import Server, tied

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
CLOCK_OF_PROCESS = 3  # Linux: the number of the clock of another process, see clock_getcpuclockid(3)
CLOCK_OF_SCHEDULER = 2  # in nanoseconds
HERE = Path(__file__).parent
HOME = HERE.parent  # the checkout


class Process(AbstractContextManager["Process"]):
    """A Python script that prints a JSON line when it is ready, and then one for each that it is given."""

    def __init__(
        self,
        script: str | Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            tied([str(python), str(HERE / script), *args]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.pid = self._process.pid
        self.name = " ".join((str(script), *args[:1]))

    def __enter__(self) -> Self:
        try:
            self.ready = self.hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def log(self) -> str:
        """What it wrote to stderr so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def ask(self, **order: object) -> Any:
        """Give an order and wait for its answer."""
        self.tell(**order)
        return self.hear()

    def tell(self, **order: object) -> None:
        """Give an order; its answer is heard later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """Wait for the next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.kill()
            self._process.wait()
            self._log.seek(0)
            raise SystemExit(f"{self.name} has ended:\n{self._log.read().decode(errors='replace')[-4000:]}")
        return json.loads(line)


def product_environment(store: Server, members: Server, namespace: str, home: Path = HOME) -> dict[str, str]:
    """The settings of the processes of a checkout's product; a client or agent also needs the node's address."""
    return {
        "PYTHONPATH": str(home / "python"),
        "NERVENET_REDIS": store.url,
        "NERVENET_ETCD": members.url,
        "NERVENET_NAMESPACE": namespace,
        "NERVENET_LISTEN": "127.0.0.1:0",
        "NERVENET_LOG_LEVEL": "warning",
    }


def cpu_ms(pid: int) -> float:
    """What a process has used so far, user and system, all threads, also those that have ended: its CPU clock."""
    return time.clock_gettime_ns(~pid << CLOCK_OF_PROCESS | CLOCK_OF_SCHEDULER) / 1_000_000


def waits(pid: int) -> int:
    """How often its threads have waited for something: their voluntary context switches."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        found += int(status.read_text().partition("voluntary_ctxt_switches:")[2].split()[0])
    return found


def tree_of(pid: int) -> list[int]:
    """A process and all that it has started, also by others that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return []
    return [pid, *(each for child in children for each in tree_of(int(child)))]


def tree_cpu_ms(pid: int) -> float:
    """What a process and all that it has started have used, with those that have ended and that it has waited for."""
    used = 0.0
    for each in tree_of(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used += sum(map(int, fields[11:15])) * TICK_MS
    return used


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def own_mb(pid: int) -> float:
    """Resident memory that no file backs: without the code of programs and libraries, which the kernel drops and reads again."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1_000_000
    raise ValueError(f"process {pid} has no RssAnon")


def machine() -> dict[str, str]:
    """What a figure means nothing without."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")), "unknown")
    return {
        "cpu": f"{os.cpu_count()} × {model}",
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": " ".join(Path("/proc/loadavg").read_text().split()[:3]),
    }
