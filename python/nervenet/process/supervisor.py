# SPDX-License-Identifier: Apache-2.0
"""Runs several nodes or agents under one command, to use more than one core: `nervenet node --processes 4`.

    raise SystemExit(supervise_processes("node", argv, config, 4))

Each process is a whole node or agent with a record of its own in the registry, so the mesh knows nothing of supervisors. What
they share is addresses (`ports`) and one page of metrics (`pages`). The supervisor keeps each place filled: a process that
dies is started again, with pauses that grow.

    SIGTERM, SIGINT    drain all and end; a second one stops all at once
    SIGHUP             replace one by one: a new process serves before the old one is asked to go

It holds no connection and no state of workflows, and loads no code of the application, so there is little in it that can fail. Rejected: forking
after the application is loaded, which shares memory, because gRPC does not survive a fork and new code needs a new interpreter anyway.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nervenet.clock import SYSTEM
from nervenet.config import split_host_port
from nervenet.config.values import HOST_PORT
from nervenet.errors import ConfigError
from nervenet.metrics.door import Door
from nervenet.process import logs, write_whole
from nervenet.process.pages import gathered
from nervenet.process.place import LEAVE_WITHIN, Place
from nervenet.process.ports import HeldPort, can_share
from nervenet.process.worker import WorkerProcess, how_it_ended
from nervenet.security import check_exposure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.config import Config

__all__ = ["supervise_processes"]

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
STABLE_AFTER: Final = 10.0
"""Seconds of life after which a death is no longer one of a series."""
USAGE: Final = 2
"""The exit code of a process whose settings or code are wrong: another try would end the same way."""
MOST_FAILURES: Final = 8
"""Deaths in a row (about half a minute) after which the supervisor gives up, if no other process serves."""
NEW_WITHIN: Final = 120.0
"""Seconds within which a process that is to replace another one must serve."""

Role = Literal["node", "agent"]
_log = logging.getLogger("nervenet.process")


def supervise_processes(
    role: Role,
    arguments: Sequence[str],
    config: Config,
    count: int,
    *,
    ready_file: Path | str | None = None,
    quiet: bool = False,
) -> int:
    """Run `count` processes until a signal comes, and return the exit code.

    Args:
        role: What they are.
        arguments: The command line of each.
        config: The settings of all.
        count: How many.
        ready_file: Where to report, as JSON, once all serve.
        quiet: Print and log less.

    Raises:
        ConfigError: The settings do not go with several processes, or an address cannot be bound.
    """
    _check(role, config)
    logs.set_up(config.log, config.log_level)
    if quiet:
        _log.setLevel(logging.WARNING)
    return asyncio.run(_Supervisor(role, arguments, config, count, ready_file, quiet=quiet).run())


def _check(role: Role, config: Config) -> None:
    listen = config.listen_for(role)
    check_exposure(config, role, "listen", listen)
    config.advertised(listen)
    if config.advertise is not None and HOST_PORT.fullmatch(config.advertise):
        raise ConfigError(
            f"advertise is {config.advertise}, with a port, and --processes gives each process a port of its own: "
            f"set it to the host alone ({split_host_port(config.advertise)[0]})"
        )
    if role == "agent" and split_host_port(listen)[1]:
        raise ConfigError(
            f"listen is {listen}, and only one process can have that port: with --processes an agent takes any free one "
            f"({listen.rpartition(':')[0]}:0)"
        )
    if role == "node" and not can_share():
        raise ConfigError(
            "this system does not let several processes listen at one address (SO_REUSEPORT): start nodes at addresses of their own"
        )


@dataclass(slots=True)
class _Position:
    """A place that is filled by one process after another."""

    number: int
    worker: WorkerProcess
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by what replaces the process, so that only one does."""


class _Failed(Exception):
    """The processes cannot be kept running. `code` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code if code > 0 else 128 - code


class _Supervisor:
    """See the module."""

    def __init__(
        self,
        role: Role,
        arguments: Sequence[str],
        config: Config,
        count: int,
        ready_file: Path | str | None,
        *,
        quiet: bool,
    ) -> None:
        self._role, self._arguments, self._config, self._count = role, arguments, config, count
        self._ready_file = None if ready_file is None else Path(ready_file)
        self._quiet = quiet
        self._patience = config.drain_ms / 1000 + LEAVE_WITHIN
        self._folder = Path()
        self._shared: dict[str, str | None] = {}
        self._metrics: str | None = None
        self._positions: list[_Position] = []
        self._started: list[WorkerProcess] = []
        self._made = 0
        self._signals: list[int] = []
        self._stopping = asyncio.Event()
        self._replace = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._asked_to_stop, signum)
        loop.add_signal_handler(signal.SIGHUP, self._replace.set)
        async with AsyncExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-")))
            await self._hold_addresses(stack)
            try:
                return await self._live()
            except _Failed as failed:
                return failed.code
            finally:
                await self._end_all()

    async def _hold_addresses(self, stack: AsyncExitStack) -> None:
        config = self._config
        if self._role == "node":
            self._share(stack, "listen", config.listen_for("node"))
            for name, where in (("http", config.http), ("scaler", config.scaler)):
                if where is not None:
                    self._share(stack, name, where)
        if config.metrics is not None:
            door = await stack.enter_async_context(Door.open(config.metrics, gather=self._gather))
            self._metrics, self._shared["metrics"] = door.address, "127.0.0.1:0"

    def _share(self, stack: AsyncExitStack, name: str, where: str) -> None:
        self._shared[name] = stack.enter_context(HeldPort(name, where)).address

    async def _gather(self) -> bytes:
        return await gathered({p.number: p.worker.facts["metrics"] for p in self._positions if p.worker.serves})

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _live(self) -> int:
        stopping = asyncio.create_task(self._stopping.wait())
        living = asyncio.create_task(self._start_and_keep())
        await asyncio.wait((stopping, living), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if living.done():
            living.result()
        living.cancel()
        await asyncio.wait((living,))
        return await self._drain()

    async def _start_and_keep(self) -> None:
        self._positions.append(await self._begin(1))  # alone: what is wrong with the settings is said once
        self._positions += await asyncio.gather(*(self._begin(number) for number in range(2, self._count + 1)))
        self._announce()
        work = [self._keep(position) for position in self._positions]
        tasks = [asyncio.create_task(each) for each in (*work, self._replace_when_asked())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _begin(self, number: int) -> _Position:
        worker = await self._start(number)
        if not await worker.ready():
            code = await worker.ended()
            if not self._stopping.is_set():
                _log.error("process %d %s before it served", number, how_it_ended(code))
            raise _Failed(code or 1)
        return _Position(number, worker)

    async def _start(self, number: int) -> WorkerProcess:
        self._made += 1
        file = self._folder / f"{self._made}.json"
        place = Place(number=number, count=self._count, ready_file=str(file), shared=self._shared)
        worker = await WorkerProcess.start(self._arguments, place)
        self._started = [*(one for one in self._started if one.alive), worker]
        return worker

    async def _keep(self, position: _Position) -> None:
        """Fill the place for ever."""
        failures, began = 0, SYSTEM.monotonic()
        while True:
            worker = position.worker
            code = await worker.ended()
            async with position.lock:
                if position.worker is not worker:  # it was replaced
                    failures, began = 0, SYSTEM.monotonic()
                    continue
                failures = 1 if SYSTEM.monotonic() - began > STABLE_AFTER else failures + 1
                await self._report_end(position, code, failures)
                began, position.worker = SYSTEM.monotonic(), await self._start(position.number)
                if await position.worker.ready():
                    _log.info("process %d serves again", position.number)
                    self._write_ready_file()

    async def _report_end(self, position: _Position, code: int, failures: int) -> None:
        """Say what happened, and wait before the next try. Raises _Failed if there is no use in it."""
        others = any(other.worker.serves for other in self._positions)
        if not others and (failures >= MOST_FAILURES or code == USAGE):
            times = f", {failures} times in a row" if failures > 1 else ""
            _log.critical(
                "process %d %s%s, and no other process serves: giving up", position.number, how_it_ended(code), times
            )
            raise _Failed(code or 1)
        pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
        _log.error("process %d %s: it starts again in %g s", position.number, how_it_ended(code), pause)
        await asyncio.sleep(pause)

    async def _replace_when_asked(self) -> None:
        while True:
            await self._replace.wait()
            self._replace.clear()
            _log.info("SIGHUP: replacing %d processes one by one", self._count)
            for position in self._positions:
                if not await self._replaced(position):
                    _log.error("the new process %d does not serve: the processes before it go on", position.number)
                    break
            else:
                _log.info("all processes are replaced")

    async def _replaced(self, position: _Position) -> bool:
        async with position.lock:
            new = await self._start(position.number)
            try:
                async with asyncio.timeout(NEW_WITHIN):
                    is_ready = await new.ready()
            except TimeoutError:
                is_ready = False
            if not is_ready:
                await new.stop(self._patience)
                return False
            old, position.worker = position.worker, new
            self._write_ready_file()
        code = await old.stop(self._patience)
        level = logging.INFO if code == 0 else logging.WARNING
        _log.log(level, "process %d is replaced; the old one %s", position.number, how_it_ended(code))
        return True

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _asked_to_stop(self, signum: int) -> None:
        self._signals.append(signum)
        if len(self._signals) > 2:
            for worker in self._started:
                worker.signal(signal.SIGKILL)
            os._exit(128 + signum)
        if self._stopping.is_set():
            for worker in self._started:
                worker.signal(signal.SIGTERM)
            return
        _log.info("%s: draining %d processes; a second signal stops at once", signal.Signals(signum).name, self._count)
        self._stopping.set()

    async def _drain(self) -> int:
        serving = [worker for worker in self._started if worker.alive]
        began = [worker for worker in serving if worker.facts]
        codes = await asyncio.gather(*(worker.stop(self._patience) for worker in serving))
        ends = {worker: code for worker, code in zip(serving, codes, strict=True) if worker in began}
        for worker, code in ends.items():
            if code and len(self._signals) == 1:
                _log.warning("process %d %s", worker.number, how_it_ended(code))
        if len(self._signals) > 1:
            return 128 + self._signals[-1]
        return next((code if code > 0 else 128 - code for code in ends.values() if code), 0)

    async def _end_all(self) -> None:
        """Leave no process behind."""
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        await asyncio.gather(*(worker.stop(self._patience) for worker in self._started))

    # ── what people and scripts read ─────────────────────────────────────────────────────────────────────────────────

    def _announce(self) -> None:
        if not self._quiet:
            shared = self._shared
            at = f" at {shared['listen']}" if "listen" in shared else ""
            http = f", HTTP at {shared['http']}" if "http" in shared else ""
            metrics = f", metrics at {self._metrics}" if self._metrics else ""
            sys.stderr.write(f"{self._count} {self._role}s serve{at}{http}{metrics}   pid {os.getpid()}\n")
            sys.stderr.flush()
        self._write_ready_file()

    def _write_ready_file(self) -> None:
        if self._ready_file is None:
            return
        processes: list[dict[str, Any]] = [p.worker.facts for p in self._positions if p.worker.serves]
        first = processes[0] if processes else {}
        facts = {
            **{name: first.get(name) for name in ("role", "mesh", "id")},
            "address": self._shared.get("listen") or first.get("address"),
            "http": self._shared.get("http"),
            "scaler": self._shared.get("scaler"),
            "metrics": self._metrics,
            "pid": os.getpid(),
            "processes": processes,
        }
        write_whole(self._ready_file, json.dumps(facts) + "\n")
