# SPDX-License-Identifier: Apache-2.0
"""The node under test, an agent beside it, and what is looked at when all calls are made."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import NamedTuple

import grpc.aio

from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.errors import RequestError
from nervenet.rpc.methods import METHODS
from tests.fuzz.calls import Caller
from tests.fuzz.values import DEFINITIONS, WORKFLOWS, Filler
from tests.support.environment import resident_bytes
from tests.support.mesh import ProcessMesh

APP = "tests/fuzz/app.py"
TOKEN = "fuzz-7b1c"  # of a mesh that lives for this run
MOST_GROWTH_MB = 50
OPEN = ("RUNNING", "WAITING_FOR_HUMAN", "BLOCKED")
TIDY_EVERY = 1.0


class Options(NamedTuple):
    """What to do."""

    calls: int
    seed: int
    token: bool
    kinds: Sequence[str]
    methods: Sequence[str] = ()
    at_once: int = 50


class Fuzzing:
    """`await Fuzzing(options, host).run()` makes the calls; then everything else tells what came of it."""

    def __init__(self, options: Options, host: ProcessMesh, say: Callable[[str], None] = print) -> None:
        self._options, self._host, self._say = options, host, say
        self._token = TOKEN if options.token else None
        if options.token:
            host.env["NERVENET_TOKEN"] = TOKEN
        host.env |= {"NERVENET_MAX_WORKFLOWS": "500", "NERVENET_RETENTION": "60s"}
        (self._node,) = host.up(host.node())
        (self._agent,) = host.up(host.agent())
        self._callers = list[Caller]()
        self._left = options.calls
        self.rss_mb = list[int]()
        self.seconds, self.works = 0.0, ""
        """What became of a workflow when all calls were made."""

    @property
    def codes(self) -> Counter[str]:
        return sum((caller.codes for caller in self._callers), Counter[str]())

    @property
    def growth_mb(self) -> int:
        """From the second fifth (the first is the warm-up) to the last; medians, for what 50 calls hold comes and goes."""
        rss, fifth = self.rss_mb, max(1, len(self.rss_mb) // 5)
        return int(median(rss[-fifth:]) - median(rss[fifth : 2 * fifth] or rss[:1])) if rss else 0

    def faults(self) -> list[str]:
        """Everything that must not be, in lines."""
        wrong = [one for caller in self._callers for one in caller.wrong]
        kinds = Counter((one.method, one.what[:120]) for one in wrong)
        found = []
        for (method, what), count in kinds.most_common():
            first = next(one for one in wrong if (one.method, one.what[:120]) == (method, what))
            found.append(f"{count} × {method}: {first.what}\n    {first.request}")
        found += [f"in a log: {one}" for one in self._tracebacks()]
        if not self.works:
            found.append("the node has ended")
        elif self.works != "completed":
            found.append(f"no workflow completes any more: {self.works}")
        if self.growth_mb > MOST_GROWTH_MB:
            found.append(f"the node grew by {self.growth_mb} MB after the warm-up: {self.rss_mb} MB")
        asked = {method for caller in self._callers for method in caller.by_method}
        if unasked := set(self._options.methods or METHODS) - asked:
            found.append(f"never called: {', '.join(sorted(unasked))}")
        return found

    async def run(self) -> None:
        """Make the calls, and look at what is left."""
        async with AsyncExitStack() as stack:
            channels = [  # a few connections, as many clients would have
                await stack.enter_async_context(grpc.aio.insecure_channel(self._node.address, _CHANNEL))
                for _ in range(5)
            ]
            for i in range(self._options.at_once):
                filler = Filler(f"{self._options.seed}/{i}")
                filler.agent_ids = (self._agent.id, *filler.agent_ids)
                kinds, methods = self._options.kinds, self._options.methods
                self._callers.append(Caller(channels[i % 5], filler, self._token, kinds, methods))
            given = {"address": self._node.address, "namespace": self._host.namespace, "token": self._token}
            config = Config.load(environ={}, **{name: value for name, value in given.items() if value})
            raw = await stack.enter_async_context(RawClient(config))
            await self._furnish(raw)
            beside = [asyncio.create_task(self._tidy(raw)), asyncio.create_task(self._watch())]
            begun = time.monotonic()
            await asyncio.gather(*(self._work(caller) for caller in self._callers))
            self.seconds = time.monotonic() - begun
            for task in beside:
                task.cancel()
            works = await self._completes(raw) if self._node.alive else ""
            self.works = works if self._node.alive else ""

    async def _furnish(self, raw: RawClient) -> None:
        """Something of each kind is there from the first call on."""
        inputs = ("1", '"text"', '{"a": [1.10, 12345678901234567890]}', "null")
        starts = [
            {"workflow_id": each, "definition": DEFINITIONS[i % 6], "labels": {"team": "a"}, "input": {"json": inputs[i % 4]}}
            for i, each in enumerate(WORKFLOWS)
        ]  # fmt: skip
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
            self.rss_mb.append(resident_bytes(self._node.pid) >> 20)
            if (now := self._options.calls - self._left) - done >= 10_000:
                done = now
                self._say(f"{now} calls, the node has {self.rss_mb[-1]} MB")
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
        return "completed" if answer.workflow.state == 5 else str(answer.workflow)

    def _tracebacks(self) -> list[str]:
        """The ends of those in the logs, each kind once."""
        lines = [line for role in (self._node, self._agent) for line in role.log.splitlines() if "Traceback" in line]
        return list(dict.fromkeys(line.replace("\\n", "\n")[-900:] for line in lines))[:10]


_CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
