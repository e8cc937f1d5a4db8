# SPDX-License-Identifier: Apache-2.0
"""`nervenet top`: one frame from what the mesh told, and the screen of a person who types."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nervenet.cli.render.text import View
from nervenet.cli.render.top import Snapshot, Wish, as_json, frame, ordered
from nervenet.v1 import agent_pb2 as agent
from nervenet.v1 import coordinator_service_pb2 as service
from nervenet.v1 import registry_service_pb2 as registry
from nervenet.v1 import workflow_pb2 as workflow
from tests.support.environment import NERVENET
from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

NOW = 1_800_000_000_000
PERSON = View(people=True, width=100, now_ms=NOW)


def waiting(name: str, kind: int, words: str, age_s: int, *, stuck: bool = False) -> workflow.Workflow:
    found = workflow.Workflow(
        workflow_id=name, definition=f"d-{name}", version=1, state=workflow.WORKFLOW_STATE_RUNNING
    )
    found.start_time.FromMilliseconds(NOW - 1000 * age_s)
    wait = found.waits.add(kind=kind, words=words, count=1, stuck=stuck, signal="paid", capability="ocr")
    wait.since_time.FromMilliseconds(NOW - 1000 * age_s)
    return found


WORKFLOWS = [
    waiting("young", workflow.WAIT_KIND_SIGNAL, "waits for signal paid", 5),
    waiting("old", workflow.WAIT_KIND_SIGNAL, "waits for signal paid", 500),
    waiting("alone", workflow.WAIT_KIND_QUEUED, "ocr queued: no live agent serves it", 90, stuck=True),
]


def snapshot() -> Snapshot:
    agents = [
        registry.AgentEntry(agent=agent.AgentRecord(agent_id=f"a-{n}", slots=4), load=agent.Load(active=n % 5, slots=4))
        for n in range(12)
    ]
    counts = [service.StateCount(state=workflow.WORKFLOW_STATE_RUNNING, count=3)]
    return Snapshot(
        "night",
        registry.ListNodesResponse(nodes=[agent.NodeRecord(node_id="n-1")]),
        registry.ListAgentsResponse(agents=agents, queues=[registry.QueueInfo(capability="ocr", waiting=7)]),
        service.ListWorkflowsResponse(workflows=WORKFLOWS, state_counts=counts),
        2,
    )


def test_a_frame_says_what_needs_somebody_first() -> None:
    lines = [line.plain for line in frame(snapshot(), PERSON, Wish())]
    assert lines[0].startswith("nervenet night   1 node   12 agents   21 of 48 slots busy   2 open questions")
    assert lines[1] == "● 3 running"
    assert any(line.startswith("queue: ocr 7 waiting") and "no agent serves it" in line for line in lines)
    names = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in {"young", "old", "alone"}]
    assert names == ["alone", "old", "young"], "stuck first, then the older one"


def test_a_terminal_gets_no_more_lines_than_it_has() -> None:
    lines = [line.plain for line in frame(snapshot(), PERSON, Wish(), height=12)]
    assert len(lines) == 12
    assert lines[-1].endswith("lines more")


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        (Wish("age"), ["old", "alone", "young"]),
        (Wish("name"), ["alone", "old", "young"]),
        (Wish(filter="PAID"), ["old", "young"]),
        (Wish(filter="nothing has this"), []),
    ],
)
def test_orders_and_filters(wish: Wish, names: list[str]) -> None:
    assert [one.workflow_id for one in ordered(WORKFLOWS, wish)] == names


def test_a_program_gets_one_object() -> None:
    found = as_json(snapshot(), Wish())
    assert (found["namespace"], found["states"], found["open_escalations"]) == ("night", {"RUNNING": 3}, 2)
    assert [one["workflowId"] for one in found["workflows"]] == ["alone", "old", "young"]
    assert (len(found["agents"]), found["queues"][0]["waiting"]) == (12, 7)


# ── on a real mesh ───────────────────────────────────────────────────────────────────────────────────────────────────

APP = """
from nervenet import Context, Mesh

mesh = Mesh("watched")


@mesh.agent
def ocr(page: int) -> int:
    return page


@mesh.workflow
async def scan(ctx: Context, page: int) -> int:
    return await ctx.call(ocr, page)
"""


@pytest.fixture
def mesh(tmp_path: Path, redis_url: str, etcd_url: str) -> Iterator[ProcessMesh]:
    (tmp_path / "app.py").write_text(APP)
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=str(tmp_path / "app.py")) as found:
        found.start(1, 0)
        yield found


class Person:
    """Somebody at a terminal of 30 lines who runs `nervenet top`. `seen` is all that was drawn."""

    def __init__(self, mesh: ProcessMesh) -> None:
        self._ours, theirs = pty.openpty()
        env = {
            **mesh.env,
            "NERVENET_ADDRESS": mesh.addresses,
            "COLUMNS": "100",
            "LINES": "30",
            "TERM": "xterm",
            "NO_COLOR": "1",
        }
        self.process = subprocess.Popen(
            [*NERVENET, "top", "--every", "1s"],
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def sees(self, words: str, within: float = 60) -> None:
        """Wait until these words are drawn, from now on."""
        self.seen, end = "", time.monotonic() + within
        while words not in self.seen:
            assert time.monotonic() < end, f"{words!r} is not in {self.seen[-3000:]}"
            if select.select([self._ours], [], [], 0.5)[0]:
                self.seen += os.read(self._ours, 65536).decode("utf-8", "replace")

    def presses(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def test_somebody_follows_the_mesh_and_types(mesh: ProcessMesh) -> None:
    assert mesh.run("start", "scan", "1", "--id", "page-1").returncode == 0
    person = Person(mesh)
    try:
        person.sees("page-1")
        person.presses("s")
        person.sees("order: age")
        person.presses("/nope\r")
        person.sees("No open workflow matches.")
        person.presses("\x1b")
        person.sees("page-1")
        for node in mesh.nodes:
            node.kill()
        person.sees("no answer")
        person.presses("q")
        wait_until(lambda: person.process.poll() is not None, "it ends", 20)
        assert person.process.returncode == 0
    finally:
        person.close()


def test_one_frame_for_a_pipe_and_for_a_program(mesh: ProcessMesh) -> None:
    assert mesh.run("start", "scan", "1", "--id", "page-1").returncode == 0
    wait_until(lambda: "queued" in mesh.run("top", "--once").stdout, "it waits", 30)
    found = json.loads(mesh.run("top", "--once", "--json").stdout)
    names = {"namespace", "states", "open_escalations", "problem", "nodes", "agents", "queues", "workflows"}
    assert set(found) == names and found["problem"] == ""
    (one,) = found["workflows"]
    assert (one["workflowId"], one["waits"][0]["kind"]) == ("page-1", "WAIT_KIND_QUEUED")
