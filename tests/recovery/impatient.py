# SPDX-License-Identifier: Apache-2.0
"""Callers whose deadline is shorter than what they ask for: every workflow that exists has to end all the same.

    make impatient                                    # 2,000 of them
    python -m tests.recovery.impatient --calls 500

Two nodes and an agent as an operator starts them. So many starts with deadlines of 1 to 20 ms, alone and in batches of
five, forty at a time, at either node; then signals and cancels with the same deadlines for workflows that wait. gRPC
cancels the handler of a call whose deadline has passed, at whatever it awaits. In the end each id that was used is asked
for: it does not exist, or it has ended. Prints one line; exit code 1 where something stands still.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from nervenet import Client
from nervenet.errors import NotFound
from nervenet.rpc.channels import NAMESPACE_KEY
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1.coordinator_service_pb2_grpc import CoordinatorServiceStub
from tests.recovery import redis_app
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.torture import BUILD, command_line, conclude

APP = "tests/recovery/redis_app.py"
BATCH = 5
AT_ONCE = 40
WITHIN = 12.0
"""Seconds in which everything has to end; a node looks at what it owns and does not run every five."""


@dataclass
class Tried:
    """What was asked for, and what came of it."""

    seed: int
    ids: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    standing: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def line(self) -> str:
        calls = ", ".join(f"{count} {code}" for code, count in sorted(self.calls.items()))
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return f"seed {self.seed}: calls: {calls}; workflows: {states}; all had ended after {self.seconds:.1f} s"


class Impatient:
    """Calls with deadlines of 1 to 20 ms, at any of the nodes."""

    def __init__(self, host: ProcessMesh, tried: Tried) -> None:
        self._chance = random.Random(tried.seed)
        self._tried, self._gate = tried, asyncio.Semaphore(AT_ONCE)
        self._metadata = ((NAMESPACE_KEY, host.namespace),)
        self._channels = [grpc.aio.insecure_channel(node.address) for node in host.nodes]
        self._stubs: list[Any] = [CoordinatorServiceStub(channel) for channel in self._channels]

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def starts(self, count: int) -> None:
        """So many workflows, a fifth of the calls being batches."""
        calls, left = [], count
        while left > 0:
            size = BATCH if self._chance.random() < 0.2 else 1
            calls.append(self._start(count - left, min(size, left)))
            left -= size
        await asyncio.gather(*calls)

    async def _start(self, first: int, count: int) -> None:
        ids = [f"brief-{n}" for n in range(first, first + count)]
        self._tried.ids += ids
        requests = [
            pb.StartWorkflowRequest(definition="part", workflow_id=one, input=common.Payload(json="1")) for one in ids
        ]
        if count == 1:
            await self._call("StartWorkflow", requests[0])
        else:
            await self._call("StartWorkflows", pb.StartWorkflowsRequest(requests=requests))

    async def steers(self, ids: list[str]) -> None:
        """Signal or cancel each of them, again and again, until one of the calls is answered."""
        await asyncio.gather(*map(self._steer, ids))

    async def _steer(self, workflow_id: str) -> None:
        if self._chance.random() < 0.5:
            name = "SignalWorkflow"
            request: Any = pb.SignalWorkflowRequest(
                workflow_id=workflow_id, signal="go", request_id="s", payload=common.Payload(json="1")
            )
        else:
            name, request = "CancelWorkflow", pb.CancelWorkflowRequest(workflow_id=workflow_id)
        while not await self._call(name, request):
            pass

    async def _call(self, name: str, request: Any) -> bool:
        """Whether it was answered in time."""
        method = getattr(self._chance.choice(self._stubs), name)
        try:
            async with self._gate:
                await method(request, timeout=self._chance.uniform(0.001, 0.02), metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            self._tried.calls[f"{name} {error.code().name}"] += 1
            return error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        self._tried.calls[f"{name} OK"] += 1
        return True


async def impatience(host: ProcessMesh, calls: int, waiting: int, seed: int) -> Tried:
    """All of it, on the mesh of that host."""
    tried = Tried(seed)
    callers = Impatient(host, tried)
    async with host.client() as client:
        ids = [f"waiting-{n}" for n in range(waiting)]
        await asyncio.gather(*(client.start(redis_app.waits, 1, id=one) for one in ids))
        tried.ids += ids
        await callers.starts(calls)
        await callers.steers(ids)
        await callers.close()
        began = time.monotonic()
        states = await asyncio.gather(*(_end(client, one, began) for one in tried.ids))
        tried.seconds = time.monotonic() - began
    tried.states = Counter(states)
    tried.standing = [one for one, state in zip(tried.ids, states, strict=True) if state not in ENDED]
    return tried


ENDED = ("SUCCEEDED", "CANCELED", "not there")


async def _end(client: Client, workflow_id: str, since: float) -> str:
    """The state of a workflow once it has ended, or when it should have."""
    while True:
        try:
            state = (await client.handle(workflow_id).info()).state
        except NotFound:
            return "not there"
        if state in ENDED or time.monotonic() > since + WITHIN:
            return str(state)
        await asyncio.sleep(0.1)


def main() -> int:
    """Run it from the command line."""
    asked = command_line(__doc__, calls=2000, waiting=200, seed=1).parse_args()
    with mesh_alone(APP) as host:
        host.start(2, 1, "--name", "nods")
        tried = asyncio.run(impatience(host, asked.calls, asked.waiting, asked.seed))
    wrong = [f"{len(tried.standing)} stand still: {tried.standing[:20]}"] if tried.standing else []
    return conclude(BUILD / "impatient.json", vars(tried), tried.line, wrong)


if __name__ == "__main__":
    sys.exit(main())
