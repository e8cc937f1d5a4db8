# SPDX-License-Identifier: Apache-2.0
"""One mesh, three nodes and two agents, and one case after the other on it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis.asyncio

from nervenet import Client, RequestError
from nervenet.registry.etcd import Etcd
from tests.damage.app import go, good, victim
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

if TYPE_CHECKING:
    from nervenet import WorkflowHandle
    from tests.damage.damages import Damage
    from tests.damage.layout import Key

APP = "tests/damage/app.py"
GOOD = int(os.environ.get("DAMAGE_WORKFLOWS", "50"))
WITHIN = 30.0
DECLARED = """
name: declared
version: 1
steps:
  - {name: note, call: {capability: note, input: '"x"'}}
output: steps.note.output
"""


class Target:
    """The mesh that is damaged, and its victim."""

    def __init__(self, host: ProcessMesh, redis: Any, etcd: Etcd) -> None:
        self.host, self.nodes, self.agents = host, host.processes[:3], host.processes[3:]
        self.redis, self.etcd = redis, etcd
        self.victim_id, self.owner = "", ""
        self._count = itertools.count(1)
        self._undo: list[Any] = []

    def key(self, key: Key) -> str:
        """The key of this row that is nearest to the victim."""
        day = datetime.now(UTC).date().isoformat()
        names = {
            "<ns>": self.host.namespace,
            "<workflow_id>": self.victim_id,
            "<agent_id>": self.agents[0].id,
            "<capability>/<requirement>": "note/of-tomorrow",
            "<capability>": "note",
            "<node_id>": self.owner,
            "<day>": day,
            "<name>": "declared",
            "<n>": "1",
        }
        found = key.pattern
        for hole, value in names.items():
            found = found.replace(hole, value)
        assert "<" not in found, f"no value for {found}"
        return found

    def process(self, key: Key) -> str:
        return self.agents[0].id if key.pattern.startswith(("agents", "load")) else self.nodes[0].id

    async def add(self, key: str, fields: dict[bytes, bytes]) -> None:
        """An entry behind the last one: where numbers are dense, the next number, as a program that knows that would."""
        head = key.removesuffix(":journal")
        last = await self.redis.hget(head, "last") if head != key else None
        if last is None:  # no journal, or that of a copy that is not there
            await self.redis.xadd(key, fields)
            return
        ms, _, n = last.decode().partition("-")
        at = f"{ms}-{int(n) + 1}"
        await self.redis.xadd(key, fields, id=at)
        await self.redis.hset(head, "last", at)

    async def put_in_etcd(self, name: bytes, value: bytes) -> None:
        key = f"/nervenet/{self.host.namespace}/" + name.decode(errors="surrogateescape")
        await self.etcd.put(key, value)
        if b"stranger" in name or value == b"{}" or name.startswith(b"tombstones"):
            self._undo.append(self.etcd.delete(key))

    # ── one case ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, damage: Damage, client: Client) -> str:
        """What is wrong afterwards; "" = nothing."""
        n = next(self._count)
        self.victim_id = f"victim-{n}"
        hurt = await client.start(victim, "x", id=self.victim_id)
        await until(lambda: _waits(hurt), f"{self.victim_id} waits", 20, self.host)
        self.owner = (await hurt.info()).node_id
        stored = f"nn:{self.host.namespace}:definition:{{declared}}"  # the truth, which nobody makes again
        kept = await self.redis.dump(stored)
        try:
            await until(lambda: self._put(damage), "what was damaged before is made again", 15)
        except AssertionError as error:
            return str(error)
        runs = await asyncio.gather(*(client.start(good, f"{n}-{i}", id=f"good-{n}-{i}") for i in range(GOOD)))
        problems = []
        try:
            async with asyncio.timeout(WITHIN):
                results = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
                failed = [result for result in results if isinstance(result, BaseException)]
                if failed:
                    problems.append(f"{len(failed)} of {GOOD} good ones did not succeed: {failed[0]!r}")
        except TimeoutError:
            problems.append(f"not all of {GOOD} good ones ended within {WITHIN:.0f} s")
        problems += [
            f"{role.id} ended with {role.process.returncode}" for role in self.host.processes if not role.alive
        ]
        problems.append(await self._victim(hurt, damage))
        for undo in self._undo:
            await undo
        self._undo.clear()
        await self.redis.restore(stored, 0, kept, replace=True)
        await self.redis.delete(f"nn:{self.host.namespace}:queue:{{note/of-tomorrow}}")  # nobody's
        return "; ".join(filter(None, problems))

    async def _put(self, damage: Damage) -> bool:
        """False: the key still holds another type, from the case before."""
        try:
            await damage.put(self)
        except redis.exceptions.ResponseError:  # a command that lists what belongs there makes it again
            for what in ("escalations", "definitions"):
                await asyncio.to_thread(self.host.run, what, "list")
            return False
        return True

    async def _victim(self, hurt: WorkflowHandle[Any], damage: Damage) -> str:
        """It goes on as if nothing had happened, or it is BLOCKED, or asking for it says that it cannot be read."""
        last, told = "", False
        over = ("SUCCEEDED", "BLOCKED", "FAILED", "CANCELED", "UNREADABLE", "WORKFLOW_CLOSED", "WORKFLOW_NOT_FOUND")
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN):
                while last not in over:
                    try:
                        if not told:
                            await hurt.signal(go, "go")
                            told = True
                        last = (await hurt.info()).state
                    except RequestError as error:
                        last = error.reason
                    await asyncio.sleep(0.05)
        if damage.victim_only:
            asked = "CANCELED" if "entry cancel" in damage.name else ""  # that one can be read, and is obeyed
            fine = last in ("SUCCEEDED", "BLOCKED", "UNREADABLE", "WORKFLOW_CLOSED", asked)
        else:
            fine = last == "SUCCEEDED"
        with suppress(RequestError):
            await hurt.cancel("the case is over")
        return "" if fine else f"the victim is {last or 'not reached'}"


async def _waits(run: WorkflowHandle[Any]) -> bool:
    info = await run.info()
    return info.view is not None


@asynccontextmanager
async def mesh(folder: Path, redis_url: str, etcd_url: str) -> AsyncIterator[tuple[Target, Client]]:
    async with AsyncExitStack() as stack:
        host = stack.enter_context(ProcessMesh(folder, redis_url, etcd_url, app=APP))
        host.start(3, 2)
        (folder / "declared.yaml").write_text(DECLARED)
        stored = host.run("definitions", "put", str(folder / "declared.yaml"))
        assert stored.returncode == 0, stored.stderr
        store = redis.asyncio.Redis.from_url(redis_url)
        stack.push_async_callback(store.aclose)
        etcd = await stack.enter_async_context(Etcd.open(etcd_url))
        client = await stack.enter_async_context(host.client())
        yield Target(host, store, etcd), client
