# SPDX-License-Identifier: Apache-2.0
"""`nervenet dev`: a whole mesh on this machine, each role a process of its own, under one supervisor.

    supervise("hello.py", Config.load(), Options(port=0, ready_file=Path("ready.json")))     # until a signal; exit code

Valkey and etcd are embedded and keep their data in one locked folder, so that the next start continues
where this one ended, however it ended: all processes end with the supervisor, even at a kill -9. Only the registry begins
empty each time: the holder of the lock knows that every earlier process is dead, so no process must wait for old leases.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nervenet.config import split_host_port
from nervenet.dev.describe import AppDescription, CannotLoad, describe
from nervenet.dev.folder import app_folder, changed, locked, snapshot
from nervenet.dev.roles import Roles
from nervenet.dev.servers import Server, backing
from nervenet.errors import ConfigError
from nervenet.imports import refuse_here
from nervenet.process import write_whole
from nervenet.process.signals import ShutdownSignals, run
from nervenet.redis_link.opening import open_link
from nervenet.streams.heads import Claim
from nervenet.streams.keys import Keys
from nervenet.streams.script import packaged_scripts

if TYPE_CHECKING:
    from nervenet.config import Config

LOOK = 0.3
"""Seconds between two looks at files and servers."""
DRAIN = 5.0
"""Seconds that roles get to drain, unless the configuration says otherwise: people wait for a reload."""

HTTP_PORTS = 20
"""Ports that are tried for HTTP."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line. `port` 0: any free port, the same until the supervisor ends."""

    port: int = 7700
    data: Path = Path(".nervenet")
    nodes: int = 1
    reload: bool = True
    ready_file: Path | None = None
    quiet: bool = False


def supervise(app: str, config: Config, options: Options) -> int:
    """Run the mesh until a signal stops it, and return the exit code. Raises CannotLoad, DataInUse or RoleEnded."""

    refuse_here("nervenet dev")

    async def whole(stop: ShutdownSignals) -> None:
        with locked(options.data):
            await Supervisor(app, config, options).run(stop)

    return run(whole)


class Supervisor:
    """One `nervenet dev`."""

    def __init__(self, app: str, config: Config, options: Options) -> None:
        self._app, self._config, self._options = app, config, options
        self._folder = app_folder(app)
        self._drain = DRAIN if config.sources["drain"] == "default" else config.drain_ms / 1000
        self._serving = False

    async def run(self, stop: ShutdownSignals) -> None:
        _require_free(self._options.port)
        self._http = self._choose_http()
        shutil.rmtree(self._options.data / "etcd", ignore_errors=True)
        async with contextlib.AsyncExitStack() as stack:
            about, self._servers = await self._prepare(stack)
            before = snapshot(self._folder)
            waiting = [await take_stock(self._servers[0].url, one) for one in self._config.served_namespaces]
            self._roles = await stack.enter_async_context(self._started(about))
            self._serving = True
            if not self._options.quiet:
                sys.stderr.write(self._banner(about, sum(waiting)))
                sys.stderr.flush()
            self._write_ready_file()
            stack.callback(self._forget_ready_file)
            await stop.asked(self._stop, broken=self._supervise(before))

    async def _stop(self) -> None:
        if not self._options.quiet:
            self._say("Draining …")
        await self._roles.stop()

    async def _prepare(self, stack: contextlib.AsyncExitStack) -> tuple[AppDescription, tuple[Server, Server]]:
        """The app is read while the servers start; code that cannot be imported ends it before anything else."""
        reading = asyncio.ensure_future(describe(self._app))
        try:
            servers = await stack.enter_async_context(backing(self._options.data.resolve()))
            return await reading, servers
        finally:
            reading.cancel()

    @contextlib.asynccontextmanager
    async def _started(self, about: AppDescription) -> AsyncIterator[Roles]:
        redis, etcd = self._servers
        settings = {
            "redis": redis.local_url,
            "etcd": etcd.url,
            "listen": None,
            "advertise": None,
            "http": None,
            "replay_check": self._chosen("replay_check", "on"),
            "drain": self._chosen("drain", f"{self._drain:g}s"),
            "metrics": f"{split_host_port(self._config.metrics or '127.0.0.1:0')[0]}:0",
        }
        folder = self._options.data / "run"
        folder.mkdir(exist_ok=True)
        roles = Roles(
            self._app,
            folder.resolve(),
            settings,
            namespaces=self._config.served_namespaces,
            nodes=self._options.nodes,
            port=self._options.port,
            http=self._http,
            drain=self._drain,
            reload=self._options.reload,
            say=self._say,
            on_change=self._write_ready_file,
        )
        try:
            await roles.start(agents=bool(about.agents))
            yield roles
        finally:
            roles.kill()

    def _choose_http(self) -> str | None:
        """Where the first node serves HTTP: where the user says, else at the port after that of gRPC, or the next free one."""
        if self._config.http is not None:
            return self._config.http
        if find_spec("uvicorn") is None or find_spec("starlette") is None:
            if not self._options.quiet:
                self._say("No dashboard and no HTTP: pip install 'nervenet[http]' brings them.")
            return None
        if self._options.port == 0:
            return "127.0.0.1:0"
        first = self._options.port + 1
        for port in range(first, min(first + HTTP_PORTS, 65_536)):
            if _why_not_free(port) is None:
                if port != first:
                    self._say(f"port {first} is taken, so HTTP is served at {port} (NERVENET_HTTP sets another)")
                return f"127.0.0.1:{port}"
        return "127.0.0.1:0"

    def _chosen(self, name: str, ours: str) -> str:
        """What the user set, as text for the environment; else ours."""
        shown = {setting: (value, source) for setting, value, source in self._config.shown()}
        value, source = shown[name]
        return ours if source == "default" else value

    # ── while it runs ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _supervise(self, before: dict[str, tuple[int, int]]) -> None:
        """Restart a server that died; reload when a file was saved."""
        while True:
            await asyncio.sleep(LOOK)
            self._roles.check()
            for server in self._servers:
                if not server.alive:
                    self._say(f"{server.name} has stopped: starting it again")
                    await server.restart()
            if not self._options.reload:
                continue
            after = await asyncio.to_thread(snapshot, self._folder)
            if files := changed(before, after):
                before = after
                await self._reload(", ".join(files[:3]) + (" …" if len(files) > 3 else ""))

    async def _reload(self, files: str) -> None:
        try:
            about = await describe(self._app)
        except CannotLoad as error:
            self._say(f"{files} changed, but cannot be loaded; the previous code continues.\n{error}")
            return
        await self._roles.stop()
        await self._roles.start(agents=bool(about.agents))
        self._say(f"{files} changed: reloaded, {_contents(about)}")

    # ── what people and scripts read ─────────────────────────────────────────────────────────────────────────────────

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _banner(self, about: AppDescription, waiting: int) -> str:
        address = ", ".join(one.replace("127.0.0.1", "localhost") for one in self._roles.addresses)
        redis, etcd = self._servers
        first = self._roles.addresses[0].replace("127.0.0.1", "localhost")
        namespaces = self._config.served_namespaces
        elsewhere = "" if first == "localhost:7700" else f" --address {first}"
        elsewhere += "" if namespaces[0] == "default" else f" --namespace {namespaces[0]}"
        continues = f" ({waiting} workflow{'' if waiting == 1 else 's'} continue{'s' if waiting == 1 else ''})"
        stops = "Reloads on save. " if self._options.reload else ""
        facts = [
            ("gRPC", f"{address} (plaintext, reflection)"),
            ("HTTP", ", ".join(f"http://{one.replace('127.0.0.1', 'localhost')}/" for one in self._roles.http)),
            ("servers", f"valkey :{redis.port}, etcd :{etcd.port} (embedded, development only)"),
            ("tenants", ", ".join(namespaces) if len(namespaces) > 1 else ""),
            ("data", f"{self._options.data}/{continues if waiting else ''}"),
            ("try", f"{about.example}{elsewhere}" if about.example else ""),
            ("", f"grpcurl -plaintext {first} list"),
        ]
        return "\n".join([
            f"nervenet {version('nervenet')}   {self._app} → mesh {about.mesh}: {_contents(about)}",
            *(f"  {what:9}{fact}" for what, fact in facts if fact),
            f"{stops}Ctrl-C drains, a second one stops now.\n",
        ])  # fmt: skip

    def _write_ready_file(self) -> None:
        if self._options.ready_file is None or not self._serving:
            return
        redis, etcd = self._servers
        facts = {
            "grpc": self._roles.addresses,
            "http": self._roles.http,
            "dashboard": f"http://{self._roles.http[0]}/" if self._roles.http else None,
            "metrics": self._roles.metrics,
            "redis": redis.url,
            "etcd": [etcd.url],
            "namespace": self._config.served_namespaces[0],
            "pids": self._roles.pids(),
        }
        if len(self._config.served_namespaces) > 1:
            facts["namespaces"] = list(self._config.served_namespaces)
        write_whole(self._options.ready_file, json.dumps(facts) + "\n")

    def _forget_ready_file(self) -> None:
        self._serving = False
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)


def _contents(about: AppDescription) -> str:
    workflows, agents = len(about.workflows), len(about.agents)
    return f"{workflows} workflow{'s' * (workflows != 1)}, {agents} agent{'s' * (agents != 1)}"


async def take_stock(url: str, namespace: str) -> int:
    """How many workflows of the previous run continue now. Its claims are dropped, since every process of it is dead."""
    keys = Keys(namespace)
    link = await open_link(url, name="nervenet-dev", scripts=packaged_scripts())
    try:
        running = await link.call("ZRANGE", keys.running, 0, -1)
        for workflow_id in running:
            head = keys.head(workflow_id.decode())
            fields = await link.call("HGETALL", head)
            pairs = zip(fields[::2], fields[1::2], strict=True)
            if over := [(name, Claim.ended(held)) for name, held in pairs if name.startswith(b"c:")]:
                await link.call("HSET", head, *itertools.chain.from_iterable(over))
        return len(running)
    finally:
        await link.close()


def _require_free(port: int) -> None:
    """Say it before anything is started; a race for the port is lost in the node's own words later."""
    if why := _why_not_free(port):
        raise ConfigError(f"port {port}: {why}. Choose another one with --port N, or any free one with --port 0")


def _why_not_free(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None
