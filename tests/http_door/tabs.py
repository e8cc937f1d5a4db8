# SPDX-License-Identifier: Apache-2.0
"""What idle tabs cost a node: streams of live reads and watched workflows in which nothing happens.

python -m tests.http_door.tabs --tabs 50 --seconds 20
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from tests.http_door.world import COORDINATOR, REGISTRY, call, live, watching
from tests.support.mesh import mesh_alone
from tests.support.processes import NervenetProcess
from tests.support.torture import command_line

APP = "tests/services/world.py"
READS = {
    "overview": {"method": f"{COORDINATOR[1:]}/ListWorkflows", "request": {"includeCounts": True, "pageSize": 10}},
    "open": {"method": f"{COORDINATOR[1:]}/ListWorkflows", "request": {"includeWaits": True, "pageSize": 100}},
    "escalations": {"method": f"{COORDINATOR[1:]}/ListEscalations"},
    "agents": {"method": f"{REGISTRY[1:]}/ListAgents"},
    "nodes": {"method": f"{REGISTRY[1:]}/ListNodes"},
}
"""As the dashboard asks."""
START = f"{COORDINATOR}/StartWorkflow"


def cpu_seconds(process: NervenetProcess) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def idle(node: NervenetProcess, tabs: int, watched: int, seconds: float) -> float:
    """The share of one core that the node takes while these tabs are open."""
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=f"http://{node.http}", timeout=60, limits=limits, trust_env=False) as http,
        AsyncExitStack() as stack,
    ):
        for _ in range(tabs):
            tab = await stack.enter_async_context(live(http, READS, every=2))
            assert await tab.next()
        for at in range(watched):
            path = f"/live/workflows/w-{at % 10}?progress=1&partials=1"
            assert await (await stack.enter_async_context(watching(http, path))).next()
        await asyncio.sleep(3)
        began, before = time.monotonic(), cpu_seconds(node)
        await asyncio.sleep(seconds)
        return (cpu_seconds(node) - before) / (time.monotonic() - began)


async def measured(node: NervenetProcess, tabs: int, seconds: float) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=f"http://{node.http}", timeout=60, trust_env=False) as http:
        for at in range(100):
            answer = await call(http, START, {"workflowId": f"w-{at}", "definition": "waits"})
            assert answer.status_code == 200, answer.text
    return {
        "no tab": await idle(node, 0, 0, seconds),
        f"{tabs} tabs with lists": await idle(node, tabs, 0, seconds),
        f"{tabs} tabs that watch a workflow": await idle(node, 0, tabs, seconds),
    }


def main() -> None:
    arguments = command_line(__doc__, tabs=50, seconds=20).parse_args()
    with mesh_alone(APP) as host:
        (node,) = host.up(host.node(NERVENET_HTTP="127.0.0.1:0"))
        for what, share in asyncio.run(measured(node, arguments.tabs, arguments.seconds)).items():
            print(f"{what}: {share:.1%} of a core")


if __name__ == "__main__":
    main()
