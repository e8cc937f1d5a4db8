# SPDX-License-Identifier: Apache-2.0
"""A node whose memory is limited refuses starts before it dies, and finishes what it accepted.

    python -m tests.memory.parked --workflows 2000 --memory 1.2GB --limit 1.5GB

Starts parked workflows with inputs of 200 KB (a list of 3,000 records, which takes ten times as much as Python objects, or one
string) at one real node under RLIMIT_DATA. The node must live and refuse with MEMORY_FULL; what was accepted gets its signal
and must end; then the node must accept again.
"""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any, NamedTuple

from nervenet import errors
from nervenet.config import parse_size
from tests.memory.app import parked
from tests.support.environment import resident_bytes
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.processes import NervenetProcess
from tests.support.torture import command_line

APP = "tests/memory/app.py"
AT_ONCE = 20
INPUTS: dict[str, Any] = {
    "records": [{"id": i, "name": f"item {i}", "tags": ["a", "b"], "price": i * 1.5} for i in range(3_000)],
    "text": "x" * 200_000,
}


class Seen(NamedTuple):
    accepted: int
    refused: int
    reasons: set[str]
    most_bytes: int
    lag: float


async def fill(host: ProcessMesh, node: NervenetProcess, count: int, document: Any) -> Seen:
    """Start so many at the node, whatever it answers; then signal those that it took, and wait until they end."""
    accepted: list[str] = []
    refused: list[errors.Overloaded] = []
    most = 0
    async with host.client(node) as client:

        async def start(n: int) -> None:
            try:
                accepted.append((await client.start(parked, document, id=f"parked-{n}")).id)
            except errors.Overloaded as error:
                refused.append(error)

        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(start(n) for n in range(first, min(count, first + AT_ONCE))))
            most = max(most, resident_bytes(node.pid))
        assert node.alive, node.log[-3000:]
        lag = 0.0
        for first in range(0, len(accepted), AT_ONCE):
            some = [client.handle(each, parked) for each in accepted[first : first + AT_ONCE]]
            began = time.monotonic()
            await asyncio.gather(*(one.signal("go", "now") for one in some))
            assert await asyncio.gather(*(one.result(timeout=60) for one in some)) == [len(document)] * len(some)
            lag = max(lag, time.monotonic() - began)
    return Seen(len(accepted), len(refused), {error.reason for error in refused}, most, lag)


async def accepts_again(host: ProcessMesh, node: NervenetProcess, document: Any, within: float = 20) -> float:
    """How long the node takes to accept again, once everything has ended."""
    began = time.monotonic()
    async with host.client(node) as client:
        while True:
            try:
                run = await client.start(parked, document, id="parked-after")
            except errors.Overloaded:
                assert time.monotonic() - began < within, f"refuses {within} s after everything has ended"
                await asyncio.sleep(0.5)
            else:
                await run.signal("go", "now")
                await run.result(timeout=60)
                return time.monotonic() - began


async def main(count: int, memory: str, limit: str, kind: str) -> None:
    with mesh_alone(APP) as host:
        (node,) = host.up(host.node(NERVENET_MAX_MEMORY=memory))
        resource.prlimit(node.pid, resource.RLIMIT_DATA, (parse_size(limit), parse_size(limit)))
        seen = await fill(host, node, count, INPUTS[kind])
        again = await accepts_again(host, node, INPUTS[kind])
        print(
            f"{kind}: {seen.accepted} accepted and ended, {seen.refused} refused ({', '.join(seen.reasons) or '-'}), "
            f"most resident {seen.most_bytes / 1e6:.0f} MB; accepts again after {again:.1f} s"
        )


if __name__ == "__main__":
    parser = command_line(__doc__, workflows=2_000, memory="1.2GB", limit="1.5GB")
    parser.add_argument("--input", choices=[*INPUTS], default="records")
    given = parser.parse_args()
    asyncio.run(main(given.workflows, given.memory, given.limit, given.input))
