# SPDX-License-Identifier: Apache-2.0
"""A mesh with a workflow in each state that the dashboard shows, for its tests, its pictures and its benchmark.

with ProcessMesh(folder, redis_url, etcd_url, app=DESK) as mesh:
    desk = open_desk(mesh)
    asyncio.run(fill(mesh))
    page.goto(desk.address)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from nervenet import Client, StartOptions
from nervenet.errors import NotFound
from tests.dashboard import desk
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

DESK = "tests/dashboard/desk.py"
SERVED = ("scan", "extract", "book", "translate", "write", "count", "echo")
"""What the agents serve: not `ocr`, and `render` ends its own."""
LABELED = StartOptions(labels={"team": "press"})
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
RIGHT_TO_LEFT = "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"


@dataclass(frozen=True)
class Desk:
    """The processes of a desk."""

    nodes: tuple[NervenetProcess, ...]
    agents: tuple[NervenetProcess, ...]
    address: str
    """Of the dashboard, `http://127.0.0.1:1234`."""


def open_desk(mesh: ProcessMesh, *, nodes: int = 2, agents: int = 2, **env: str) -> Desk:
    """Start nodes with the HTTP door, and agents. Blocks until all are ready."""
    door = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    serving = mesh.up(*(mesh.node("", *door, **env) for _ in range(nodes)))
    only = [word for name in SERVED for word in ("--only", name)]
    working = mesh.up(*(mesh.agent(*only, **env) for _ in range(agents)))
    return Desk(serving, working, f"http://{serving[0].http}")


async def fill(mesh: ProcessMesh, *, hostile: bool = True) -> None:
    """Start a workflow for each state, and some with hostile payloads; wait until each is in its state."""
    async with mesh.client() as client:
        for number in range(6):
            await client.start(desk.tally, 1 + number, id=f"tally-{number}")
        await client.start(
            desk.invoice, desk.Invoice(supplier="Kern & Söhne", pages=6), id="invoice-2041", options=LABELED
        )
        await client.start(desk.expense, 42.8, id="expense-17")
        await client.start(desk.letter, "tea", id="letter-tea")
        await client.start(desk.payment, 99.5, id="payment-311")
        await client.start(desk.reminder, 14, id="reminder-8")
        await client.start(desk.nightly, 9, id="nightly-1")
        await client.start(desk.archive, "box-12.tif", id="archive-12")
        await client.start(desk.archive, "box-13.tif", id="archive-13")
        await client.start(desk.greeting, "hola", id="greeting-es")
        await client.start(desk.report, {"april": 3}, id="report-may")
        await client.start(desk.refund, 12.0, id="refund-5")
        await client.start(desk.month, ["may", "june"], id="month-5")
        await client.start(desk.tally, 340, id="tally-340")
        canceled = await client.start(desk.reminder, 3, id="reminder-7")
        await canceled.cancel("paid in cash")
        if hostile:
            await parrots(client)
        for workflow_id, state in {
            "invoice-2041": "WAITING_FOR_HUMAN", "expense-17": "WAITING_FOR_HUMAN", "greeting-es": "WAITING_FOR_HUMAN",
            "report-may": "BLOCKED", "refund-5": "FAILED", "reminder-7": "CANCELED", "tally-340": "SUCCEEDED",
        }.items():  # fmt: skip
            await in_state(client, workflow_id, state)


async def parrots(client: Client) -> None:
    """Payloads that a page must not believe."""
    values = {"script": HOSTILE, "long": "long " * 200_000, "deep": deep(90), "rtl": RIGHT_TO_LEFT}
    for name, value in values.items():
        await client.start(desk.parrot, value, id=f"parrot-{name}")
    for name in values:
        await in_state(client, f"parrot-{name}", "WAITING_FOR_HUMAN")


async def keep_busy(mesh: ProcessMesh, seconds: int) -> None:
    """Workflows that come and go, more of them from time to time."""
    async with mesh.client() as client:
        for second in range(seconds):
            for each in range(1 + (second * 7) % 5):
                await client.start(desk.tally, 3 + each, id=f"order-{second}-{each}")
            if second % 17 == 5:
                await client.start(desk.refund, float(second), id=f"return-{second}")
            await asyncio.sleep(1)


async def in_state(client: Client, workflow_id: str, state: str) -> None:
    async def is_there() -> bool:
        try:
            return (await client.handle(workflow_id).info()).state == state
        except NotFound:
            return False

    await until(is_there, f"{workflow_id} is {state}", 60)


async def poison(mesh: ProcessMesh) -> None:
    """Start a task that ends every agent that runs it, and agents for it, until a person is asked."""
    async with mesh.client() as client:
        run = await client.start(desk.poster, "fair", id="poster-fair")
        victim: NervenetProcess | None = None

        async def is_asked() -> bool:
            nonlocal victim
            if victim is None or not victim.alive:
                victim = mesh.agent("--only", "render")
            return (await run.info()).state == "WAITING_FOR_HUMAN"

        await until(is_asked, "the poisoned task asks a human", 120, mesh)


def deep(levels: int) -> Any:
    """Lists within each other."""
    value: Any = "at the bottom"
    for _ in range(levels):
        value = [value]
    return value
