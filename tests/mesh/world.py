# SPDX-License-Identifier: Apache-2.0
"""A mesh as an operator would start it: `nervenet node` and `nervenet agent`, each a process with a log of its own.

    with Host(folder, redis, etcd) as host:
        a, b = host.up(host.node(), host.node())
        host.up(host.agent("--only", "say"))
        host.run("start", "talk", '"x"', at=a).stdout

Only the public face is used: command lines, ready files, environment. Everything dies with the host's `__exit__`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nervenet import Client, WorkflowHandle, WorkflowInfo
from nervenet.dev.servers import tied

ROOT = Path(__file__).parents[2]
STORIES = "tests/mesh/stories.py"
NERVENET = [sys.executable, "-m", "nervenet"]
FOLDER = "STORY_FOLDER"
READY_WITHIN = 40.0

Result = subprocess.CompletedProcess[str]


class Role:
    """One `nervenet node` or `nervenet agent`. Its id and address are known once it is ready."""

    def __init__(self, command: list[str], env: Mapping[str, str], stem: Path) -> None:
        self._ready, self._log = stem.with_suffix(".json"), stem.with_suffix(".log")
        self._facts: dict[str, Any] = {}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                tied([*NERVENET, *command, "--ready-file", str(self._ready)]),
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def id(self) -> str:
        return str(self._facts["id"])

    @property
    def address(self) -> str:
        return str(self._facts["address"])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_ready(self) -> bool:
        """Whether it serves, or did before it ended."""
        return self._ready.exists()

    def ready(self) -> Self:
        deadline = time.monotonic() + READY_WITHIN
        while not self._ready.exists():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"not ready in {READY_WITHIN} s:\n{self.log}"
            time.sleep(0.01)
        self._facts = json.loads(self._ready.read_text())
        return self

    def kill(self, signum: int = signal.SIGKILL) -> None:
        self.process.send_signal(signum)

    def over(self, within: float = 20) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(within)


class Host:
    """A namespace of its own on shared servers, and the processes started in it."""

    def __init__(self, folder: Path, redis: str, etcd: str) -> None:
        self.folder, self.namespace = folder, f"mesh-{uuid.uuid4().hex[:12]}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NERVENET_", "OTEL_"))}
        self.env = kept | {
            "NERVENET_REDIS": redis,
            "NERVENET_ETCD": etcd,
            "NERVENET_NAMESPACE": self.namespace,
            FOLDER: str(folder),
        }
        self.roles: list[Role] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for role in self.roles:
            if role.process.poll() is None:
                role.kill()
        for role in self.roles:
            role.over()

    # ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def node(self, app: str = STORIES, *flags: str, **env: str) -> Role:
        return self._role(["node", app, *(flags or ("--listen", "127.0.0.1:0"))], env)

    def agent(self, *flags: str, app: str = STORIES, **env: str) -> Role:
        """It announces itself to the nodes that are there already."""
        return self._role(["agent", app, *flags], {"NERVENET_ADDRESS": self.addresses} | env)

    def up(self, *roles: Role) -> tuple[Role, ...]:
        """All of them, ready; they were started at once."""
        return tuple(role.ready() for role in roles)

    @property
    def nodes(self) -> list[Role]:
        """Those that serve now."""
        return [role for role in self.roles if role._facts.get("role") == "node" and role.process.poll() is None]

    @property
    def addresses(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def _role(self, command: list[str], env: Mapping[str, str]) -> Role:
        role = Role(command, {**self.env, **env}, self.folder / f"{command[0]}-{len(self.roles)}")
        self.roles.append(role)
        return role

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, *arguments: str, at: Role | str = "", stdin: str | None = None) -> Result:
        """`nervenet …` to its end, asking the node `at` (any of them); never a traceback, whatever is asked."""
        address = at.address if isinstance(at, Role) else at or self.addresses
        result = subprocess.run(
            [*NERVENET, *arguments],
            cwd=ROOT,
            env=self.env | {"NERVENET_ADDRESS": address},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result

    def client(self, at: Role | None = None) -> Client:
        return Client(at.address if at else self.addresses, namespace=self.namespace)

    # ── what the handlers of `stories` leave behind ──────────────────────────────────────────────────────────────────

    def effects(self, about: str) -> list[str]:
        """The lines that handlers wrote about this key, in their order."""
        try:
            lines = (self.folder / "effects").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [words for key, _, words in (line.partition(" ") for line in lines) if key == about]

    async def effect(self, about: str, words: str, within: float = 20) -> None:
        """Wait until a handler wrote a line about this key that begins so."""
        await until(
            lambda: any(line.startswith(words) for line in self.effects(about)), f"{about}: {words}", within, self
        )

    def open(self, gate: str) -> None:
        """Let the handlers go on that wait at it."""
        (self.folder / f"gate-{gate}").touch()


async def until(
    holds: Callable[[], bool | Awaitable[bool]], what: str, within: float, host: Host | None = None
) -> None:
    """Look until it holds; else fail with what the processes said."""
    deadline = time.monotonic() + within
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        if time.monotonic() > deadline:
            logs = [f"── {role._log.name}\n{role.log[-3000:]}" for role in host.roles] if host else []
            raise AssertionError("\n".join([f"not within {within} s: {what}", *logs]))
        await asyncio.sleep(0.02)


async def settled(run: WorkflowHandle[Any], state: str, host: Host, within: float = 20) -> WorkflowInfo:
    """Wait until the workflow is in this state."""

    async def there() -> bool:
        return (await run.info()).state == state

    await until(there, f"{run.id} is {state}", within, host)
    return await run.info()


async def owner_of(run: WorkflowHandle[Any], nodes: list[Role]) -> Role:
    """The node that drives it."""
    node_id = (await run.info()).node_id
    return next(node for node in nodes if node.id == node_id)
