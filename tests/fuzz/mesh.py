# SPDX-License-Identifier: Apache-2.0
"""The node under test, an agent beside it, and what is looked at when all calls are made."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import grpc.aio

from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.errors import RequestError
from nervenet.rpc.methods import METHODS
from tests.fuzz.calls import Caller, Wrong
from tests.fuzz.values import DEFINITIONS, WORKFLOWS, Filler
from tests.support.environment import resident_bytes
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess

APP = "tests/fuzz/app.py"
TOKEN = "fuzz-7b1c"  # of a mesh that lives for this run
MOST_GROWTH_MB = 50
OPEN = ("RUNNING", "WAITING_FOR_HUMAN", "BLOCKED")
TIDY_EVERY = 1.0


class Options(NamedTuple):
    """What is to be done."""

    calls: int
    seed: int
    token: bool
    kinds: Sequence[str]
    methods: Sequence[str] = ()
    at_once: int = 50


class Report(NamedTuple):
    """What came of it. `growth_mb`: see `_growth`."""

    seconds: float
    codes: Counter[str]
    by_method: Counter[str]
    wrong: list[Wrong]
    tracebacks: list[str]
    rss_mb: list[int]
    growth_mb: int
    alive: bool
    works: str

    def faults(self) -> list[str]:
        """Everything that must not be, in lines."""
        kinds = Counter((one.method, one.what[:120]) for one in self.wrong)
        found = []
        for (method, what), count in kinds.most_common():
            first = next(one for one in self.wrong if (one.method, one.what[:120]) == (method, what))
            found.append(f"{count} × {method}: {first.what}\n    {first.request}")
        found += [f"in a log: {one}" for one in self.tracebacks]
        if not self.alive:
            found.append("the node has ended")
        elif not self.works.startswith("completed"):
            found.append(f"no workflow completes any more: {self.works}")
        if self.growth_mb > MOST_GROWTH_MB:
            found.append(f"the node grew by {self.growth_mb} MB after the warm-up: {self.rss_mb} MB")
        if unasked := set(METHODS) - set(self.by_method):
            found.append(f"never called: {', '.join(sorted(unasked))}")
        return found


async def run(options: Options, folder: Path, redis: str, etcd: str, say: Callable[[str], None] = print) -> Report:
    """Start the mesh, make the calls, look at what is left."""
    with ProcessMesh(folder, redis, etcd, app=APP) as host:
        if options.token:
            host.env["NERVENET_TOKEN"] = TOKEN
        host.env |= {"NERVENET_MAX_WORKFLOWS": "500", "NERVENET_RETENTION": "60s"}
        (node,) = host.up(host.node())
        (agent,) = host.up(host.agent())
        return await _Fuzzing(options, host, node, agent, say).run()


class _Fuzzing:
    def __init__(
        self,
        options: Options,
        host: ProcessMesh,
        node: NervenetProcess,
        agent: NervenetProcess,
        say: Callable[[str], None],
    ) -> None:
        self._options = options
        self._host, self._node, self._agent = host, node, agent
        self._say = say
        self._token = TOKEN if options.token else None
        self._left = options.calls
        self._rss: list[int] = []

    async def run(self) -> Report:
        async with AsyncExitStack() as stack:
            channels = [  # a few connections, as many clients would have
                await stack.enter_async_context(grpc.aio.insecure_channel(self._node.address, _CHANNEL))
                for _ in range(5)
            ]
            callers = []
            for i in range(self._options.at_once):
                filler = Filler(f"{self._options.seed}/{i}")
                filler.agent_ids = (self._agent.id, *filler.agent_ids)
                callers.append(Caller(channels[i % 5], filler, self._token, self._options.kinds, self._options.methods))
            given = {"address": self._node.address, "namespace": self._host.namespace, "token": self._token}
            raw = await stack.enter_async_context(
                RawClient(Config.load(environ={}, **{name: value for name, value in given.items() if value}))
            )
            await self._furnish(raw)
            beside = [asyncio.create_task(self._tidy(raw)), asyncio.create_task(self._watch())]
            begun = time.monotonic()
            await asyncio.gather(*(self._work(caller) for caller in callers))
            seconds = time.monotonic() - begun
            for task in beside:
                task.cancel()
            alive = self._node.alive
            works = await self._completes(raw) if alive else ""
            alive = self._node.alive
        codes = sum((caller.codes for caller in callers), Counter[str]())
        by_method = sum((caller.by_method for caller in callers), Counter[str]())
        wrong = [one for caller in callers for one in caller.wrong]
        return Report(seconds, codes, by_method, wrong, self._tracebacks(), self._rss, _growth(self._rss), alive, works)

    async def _furnish(self, raw: RawClient) -> None:
        """Something of each kind is there from the first call on."""
        inputs = ("1", '"text"', '{"a": [1.10, 12345678901234567890]}', "null")
        starts = [
            {
                "workflow_id": each,
                "definition": DEFINITIONS[i % 6],
                "labels": {"team": "a"},
                "input": {"json": inputs[i % 4]},
            }
            for i, each in enumerate(WORKFLOWS)
        ]
        await raw.call("StartWorkflows", requests=starts)
        steps = [{"name": "a", "call": {"capability": "odd"}}]
        for name in ("f1", "f2"):
            await raw.call("PutDefinition", definition={"name": name, "version": 1, "steps": steps})

    async def _work(self, caller: Caller) -> None:
        while self._left > 0 and self._node.alive:
            self._left -= 1
            await caller.call()

    async def _watch(self) -> None:
        """The node's memory, once a second."""
        done = 0
        while True:
            self._rss.append(resident_bytes(self._node.pid) >> 20)
            if (now := self._options.calls - self._left) - done >= 10_000:
                done = now
                self._say(f"{now} calls, the node has {self._rss[-1]} MB")
            await asyncio.sleep(1)

    async def _tidy(self, raw: RawClient) -> None:
        """What waits for nobody is cancelled, so that there is room for new starts."""
        while True:
            await asyncio.sleep(TIDY_EVERY)
            try:
                page = await raw.call(
                    "ListWorkflows", states=[f"WORKFLOW_STATE_{state}" for state in OPEN], page_size=200
                )
                for workflow in page.workflows:
                    await raw.call("CancelWorkflow", workflow_id=workflow.workflow_id, reason="tidy")
            except RequestError as error:
                if error.code in ("INTERNAL", "UNKNOWN"):
                    raise

    async def _completes(self, raw: RawClient) -> str:
        """A workflow with a task, after all that; what it came to."""
        try:
            await raw.call("ResumeAgent", agent_id=self._agent.id)
            start = {"workflow_id": "last", "definition": "greets", "input": {"json": '"Ada"'}, "if_exists": 2}
            answer = await raw.call("StartWorkflow", start, wait={"seconds": 40}, timeout=45)
        except (RequestError, TimeoutError) as error:
            return repr(error)
        done = answer.workflow.state == 5
        return "completed" if done else str(answer.workflow)

    def _tracebacks(self) -> list[str]:
        """The ends of those in the logs, each kind once."""
        lines = [line for role in (self._node, self._agent) for line in role.log.splitlines() if "Traceback" in line]
        return list(dict.fromkeys(line.replace("\\n", "\n")[-900:] for line in lines))[:10]


_CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))


def _growth(rss: list[int]) -> int:
    """From the second fifth (the first is the warm-up) to the last; medians, for what 50 calls hold comes and goes."""
    fifth = max(1, len(rss) // 5)
    return int(median(rss[-fifth:]) - median(rss[fifth : 2 * fifth] or rss[:1])) if rss else 0
