# SPDX-License-Identifier: Apache-2.0
"""One mesh in which every kind of trouble is there at the same time, and what an operator reads about each.

`STATES` is the table: a row for each state, a column for each place where an operator looks. `…` is any text within a line.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nervenet.dev.servers import Server
from tests.answers.asking import METRICS, Operator, Said, has, lines_about
from tests.support.mesh import ProcessMesh, owner_of, settled
from tests.support.redis_servers import say
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.timeout(300)
APP = "tests/answers/app.py"
NOTHING = ""
"""The place does not mention it, because nothing is wrong."""


FAILS = "an agent that fails everything"
PLACES = ("agents list", "top --once", "doctor --stuck 1s", "list")
ROUNDS = 4
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


class Asked(NamedTuple):
    """What was said while all of this was there."""

    operator: Operator
    said: dict[str, Said]
    metrics: str
    broken: str
    """The id of the agent that fails everything."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    folder: Path = tmp_path_factory.mktemp("answers")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url, app=APP, **METRICS) as mesh:
        mesh.up(mesh.node())
        crawler = mesh.agent("--only", "crawl,ask_model", "--name", "crawler")
        broken = mesh.agent("--only", "scan", "--name", "broken", BROKEN="1")
        mesh.up(crawler, broken, mesh.agent("--only", "scan", "--name", "fine"))
        yield mesh


@pytest.fixture(scope="module")
def asked(mesh: ProcessMesh, shared_valkey: Server) -> Asked:
    asyncio.run(_trouble(mesh, shared_valkey))
    operator = Operator(mesh)
    silent = "crawls-1 … without a sign of life … 10 %"
    wait_until(lambda: has(operator.asks("list --stuck 1s").text, silent), "the handler hangs", 30, mesh)
    broken = next(one.id for one in mesh.processes if one.id.startswith("broken"))
    for turn in range(ROUNDS):  # it gets tasks again after 10 s, then after 20 s, then after 40 s
        asyncio.run(_books(mesh, turn))
        wait_until(lambda: has(operator.metrics(), EJECTED), "an agent is ejected", 30, mesh)
        said, metrics = operator.asks_all(PLACES), operator.metrics()
        if has(metrics, EJECTED) and all(f"{broken} gets no tasks until" in said[place].text for place in PLACES[:3]):
            break
    wait_until(lambda: "silent for" in operator.asks("show crawls-1").text, "the handler is silent for 5 s", 30, mesh)
    shown = operator.asks_all(f"show {one.id}" for one in STATES.values())
    return Asked(operator, said | shown, metrics, broken)


async def _trouble(mesh: ProcessMesh, redis: Server) -> None:
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


async def _books(mesh: ProcessMesh, turn: int) -> None:
    """Enough work for the agent that fails everything."""
    async with mesh.client() as client:
        book = await client.start("book", 60, id=f"book-{turn}")
        await book.result(timeout=60)


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


@pytest.mark.parametrize("state", STATES)
def test_each_place_says_what_is_the_matter(asked: Asked, state: str) -> None:
    answers = STATES[state]
    listed, top = (lines_about(asked.said[command].text, answers.id) for command in ("list", "top --once"))
    assert has(listed, answers.list), listed
    assert has(top, answers.top) if answers.top else not top, top
    shown = asked.said[f"show {answers.id}"].text
    assert has(shown, answers.show), shown
    doctor = asked.said["doctor --stuck 1s"].text
    assert has(doctor, answers.doctor) if answers.doctor else answers.id not in doctor, doctor
    assert has(asked.metrics, answers.metrics), asked.metrics


def test_the_list_counts_by_state(asked: Asked) -> None:
    last = asked.said["list"].text.splitlines()[-1]
    assert has(last, "5 running, 1 waiting for a human, 2 blocked, … succeeded."), last


def test_an_agent_that_fails_everything_is_ejected_in_every_place_with_why_and_until_when(asked: Asked) -> None:
    why = "… attempts at 'scan' failed in a row, where fine-… succeeds: no space left on device"
    for command in ("agents list", "top --once"):
        text = asked.said[command].text
        assert has(text, f"{asked.broken} … ! ejected"), text
        assert has(text, f"ejected: {asked.broken} gets no tasks until …:…:… from 1 node: {why}"), text
        assert "→ look at its log; repair what it lacks, or restart it" in text
    doctor = asked.said["doctor --stuck 1s"]
    assert doctor.code == 1
    assert has(doctor.text, f"✗ agents.ejected … {asked.broken} gets no tasks until …:…:… from 1 node: {why}"), (
        doctor.text
    )
    assert (
        "→ look at the log of the agent; repair what it lacks (model, credentials, disk), or restart it" in doctor.text
    )
    assert has(asked.metrics, 'nervenet_agent_ejections_total{role="node",reason="fails_everything"} …')
    shown = asked.said["show book-0"].text
    assert "succeeded after failed attempts: nervenet show book-0 --all says at which agents" in shown, shown
    steps = asked.operator.asks("show book-0 --all").text
    assert has(steps, f"fine-… attempt 2 (1: OSError: no space left on device on {asked.broken})"), steps


def test_what_needs_nobody_is_not_in_the_doctors_errors(asked: Asked) -> None:
    wrong = {line.split()[1] for line in asked.said["doctor --stuck 1s"].text.splitlines() if line.startswith("✗")}
    known = {"agents.ejected", "agents.failures", "queues.served", "workflows.blocked", "workflows.stuck"}
    assert wrong - {"redis.persistence"} <= known, "the Redis of the tests writes no file"
