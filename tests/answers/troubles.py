# SPDX-License-Identifier: Apache-2.0
"""A mesh in which every kind of trouble is there at the same time, and what is said about each, on a terminal and in a browser.

`STATES` is the table: a row for each state, a column for each place where an operator looks. `…` is any text within a line.
"""

from __future__ import annotations

import signal
from typing import NamedTuple

from nervenet.dev.servers import Server
from tests.support.mesh import ProcessMesh, owner_of, settled
from tests.support.redis_servers import say
from tests.support.waiting import until

APP = "tests/answers/app.py"
NOTHING = ""
"""The place does not mention it, because nothing is wrong."""
FAILS = "an agent that fails everything"
EJECTED = 'nervenet_agent_ejected{role="node"} 1'


class Answers(NamedTuple):
    """What is said about the workflow `id`."""

    id: str
    list: str
    show: str
    top: str
    doctor: str
    metrics: str


STATES = {
    "signal wait": Answers(
        "order-1",
        list="● running … waits for signal paid, … s",
        show="┄  waits for signal paid, … s",
        top="● running … waits for signal paid, … s",
        doctor=NOTHING,
        metrics='nervenet_workflow_open{role="node",definition="order",state="parked"} 1',
    ),
    "sleep": Answers(
        "nap-1",
        list="● running … sleeps until …:…",
        show="┄  sleeps until …:…",
        top="● running … sleeps until …:…",
        doctor=NOTHING,
        metrics='nervenet_workflow_open{role="node",definition="nap",state="parked"} 1',
    ),
    "human": Answers(
        "letter-1",
        list="? waiting … asks a human: Send it? (due in 7 d)",
        show="? answer: nervenet escalations resolve letter-1/ask",
        top="? waiting … asks a human: Send it? (due in 7 d)",
        doctor="✓ escalations … 1 open question, the oldest … old: letter-1/ask",
        metrics='nervenet_escalation_open{role="node",source="workflow"} 1',
    ),
    "queue without agent": Answers(
        "download-1",
        list="● running … fetch queued … s: no live agent serves it",
        show="Start an agent that serves fetch: nervenet agent APP --only fetch",
        top="● running … fetch queued … s: no live agent serves it",
        doctor="✗ workflows.stuck … download-1 (fetch queued … s: no live agent serves it)",
        metrics='nervenet_mesh_serving{role="node",capability="fetch"} 0',
    ),
    "hung handler": Answers(
        "crawls-1",
        list="● running … crawl running … s on crawler-…, 10 %",
        show="● crawl … crawler-… 10 %, silent for … s",
        top="● running … crawl running … s on crawler-…, 10 %",
        doctor="✗ workflows.stuck … crawls-1 (crawl running without a sign of life for … s on crawler-…, 10 %)",
        metrics='nervenet_agent_slots_used{role="agent",capability="crawl"} 1',
    ),
    "retry": Answers(
        "chat-1",
        list="● running … retries ask_model in … after RateLimited: 429 from api (attempt 2 of 5)",
        show="ask_model … in … after RateLimited: 429 from api (attempt 2 of 5)",
        top="● running … retries ask_model in … after RateLimited: 429 from api (attempt 2 of 5)",
        doctor=NOTHING,
        metrics='nervenet_task_retries_total{role="node",capability="ask_model"} 1',
    ),
    "blocked by a programming error": Answers(
        "price-1",
        list="! blocked … blocked … s: app.py:…: KeyError: 'cake'",
        show="price-1 is BLOCKED since … KeyError: 'cake' (price v1, app.py:…)",
        top="! blocked … blocked … s: app.py:…: KeyError: 'cake'",
        doctor="✗ workflows.blocked … price-1 (blocked … s: app.py:…: KeyError: 'cake')",
        metrics='nervenet_workflow_open{role="node",definition="price",state="blocked"} 1',
    ),
    "poisoned record": Answers(
        "poisoned-1",
        list="! blocked … its journal is damaged: entry … signal:paid cannot be…",
        show="poisoned-1 is BLOCKED since … its journal is damaged: entry … signal:paid cannot be read. Nothing else is affected.",
        top="! blocked … its journal is damaged: entry … signal:paid cannot be…",
        doctor="✗ workflows.blocked … poisoned-1 (blocked … its journal is damaged: entry … signal:paid cannot be…",
        metrics='nervenet_records_unreadable_total{role="node"} 1',
    ),
    FAILS: Answers(
        "book-0",
        list="✓ succeeded",
        show="scan ×60: 60 ✓ (… after failed attempts)",
        top=NOTHING,
        doctor=NOTHING,
        metrics=EJECTED,
    ),
}


async def make_trouble(mesh: ProcessMesh, redis: Server) -> None:
    """Start a workflow for each state. The agents that they need are there already."""
    await _poison(mesh, redis)
    given = {
        "order": "ada",
        "nap": 9,
        "letter": "dear",
        "download": "x",
        "crawls": "x",
        "chat": "Hello",
        "price": "cake",
    }
    async with mesh.client() as client:
        for definition, value in given.items():
            await client.start(definition, value, id=f"{definition}-1")


async def _poison(mesh: ProcessMesh, redis: Server) -> None:
    """A workflow with garbage in its journal, which its next owner finds."""
    (staying,) = mesh.nodes
    leaving = await mesh.node().until_ready()
    async with mesh.client(leaving) as client:
        run = await client.start("order", "ada", id="poisoned-1")
        assert await owner_of(run, [staying, leaving]) is leaving
        journal = f"nn:{mesh.namespace}:wf:{{poisoned-1}}:journal"
        say(redis, "XADD", journal, "*", "n", "signal:paid", "e", b"\xff")
        leaving.kill(signal.SIGTERM)
        await until(lambda: not leaving.alive, "the node has left", 20, mesh)
    async with mesh.client(staying) as client:
        await settled(client.handle("poisoned-1"), "BLOCKED", mesh)
