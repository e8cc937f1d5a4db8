# SPDX-License-Identifier: Apache-2.0
"""What an operator at a terminal reads about each kind of trouble (`troubles.py`), all of them there at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nervenet.dev.servers import Server
from tests.answers.asking import METRICS, Operator, Said, has, lines_about
from tests.answers.troubles import APP, EJECTED, STATES, make_trouble
from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)
PLACES = ("agents list", "top --once", "doctor --stuck 1s", "list")
ROUNDS = 4


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
    asyncio.run(make_trouble(mesh, shared_valkey))
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


async def _books(mesh: ProcessMesh, turn: int) -> None:
    """Enough work for the agent that fails everything."""
    async with mesh.client() as client:
        book = await client.start("book", 60, id=f"book-{turn}")
        await book.result(timeout=60)


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
    assert has(steps, f"fine-… attempt … (…: OSError: no space left on device on {asked.broken})"), steps


def test_what_needs_nobody_is_not_in_the_doctors_errors(asked: Asked) -> None:
    wrong = {line.split()[1] for line in asked.said["doctor --stuck 1s"].text.splitlines() if line.startswith("✗")}
    known = {"agents.ejected", "agents.failures", "queues.served", "workflows.blocked", "workflows.stuck"}
    assert wrong - {"redis.persistence"} <= known, "the Redis of the tests writes no file"
