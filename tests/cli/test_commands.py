# SPDX-License-Identifier: Apache-2.0
"""Every command against a real mesh: what lands on stdout, what on stderr, and the exit codes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from nervenet.cli import main
from tests.support.dev import Dev

APP = """
import asyncio
from nervenet import Agent, AgentError, CallOptions, Context, Mesh, RetryPolicy, Signal, Task

mesh = Mesh("clinic")
approve = Signal[str]("approve", str)
missing = Agent.remote("missing", str, str)


@mesh.agent(slots=8)
async def greet(task: Task, name: str) -> str:
    task.progress(0.5, "half way")
    return f"Hello, {name}"


@mesh.agent
async def broken(name: str) -> str:
    raise AgentError("429 from api", type="RateLimited")


@mesh.workflow
async def welcome(ctx: Context, names: list[str]) -> list[str]:
    return await asyncio.gather(*(ctx.call(greet, name) for name in names))


@mesh.workflow
async def waits(ctx: Context) -> str:
    return await ctx.receive(approve)


@mesh.workflow
async def asks(ctx: Context) -> str:
    answer = await ctx.ask("Release?", choices=["yes", "no"])
    return f"{answer.value}, {answer.comment}"


@mesh.workflow
async def lonely(ctx: Context) -> str:
    return await ctx.call(missing, "x")


@mesh.workflow
async def fails(ctx: Context) -> str:
    return await ctx.call(broken, "x", options=CallOptions(retry=RetryPolicy(max_attempts=1)))
"""

pytestmark = pytest.mark.xdist_group("cli-mesh")  # one mesh for all of them


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with Dev(tmp_path_factory.mktemp("mesh"), APP, "--no-reload") as dev:
        yield dev


@pytest.fixture
def run(dev: Dev, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NERVENET_ADDRESS", dev.address)

    def run(*line: str) -> Ran:
        capsys.readouterr()
        code = main(line)
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        return Ran(code, out, err)

    return run


@pytest.fixture
def an_id() -> str:
    return f"w-{uuid.uuid4().hex[:8]}"


def test_start_and_wait_prints_only_the_result(run: Run, an_id: str) -> None:
    ran = run("start", "welcome", '["Ada", "Grace"]', "--id", an_id, "--wait")
    assert (ran.code, ran.out) == (0, '["Hello, Ada","Hello, Grace"]\n')
    assert f"● {an_id} started (welcome v1)" in ran.err and f"✓ {an_id}" in ran.err
    assert run("start", "welcome", '["Ada", "Grace"]', "--id", an_id).code == 0
    other = run("start", "welcome", '["Ada"]', "--id", an_id)
    assert other.code == 4 and "another input" in other.err
    assert run("result", an_id).out == ran.out


def test_json_is_the_contract_and_nothing_else(run: Run, an_id: str) -> None:
    started = run("start", "welcome", '["Ada"]', "--id", an_id, "--wait", "--json")
    found = json.loads(started.out)
    assert found["created"] and found["workflow"]["state"] == "WORKFLOW_STATE_SUCCEEDED" and not started.err
    shown = json.loads(run("show", an_id, "--json").out)["workflow"]
    assert shown["workflowId"] == an_id and shown["tasks"][0]["step"] == "greet"
    watched = [json.loads(line)["entry"] for line in run("watch", an_id, "--json").out.splitlines()]
    stored = [entry["name"] for entry in watched if "name" in entry]
    assert (stored[0], stored[-1]) == ("start", "close") and "task:greet" in stored
    assert found["workflow"]["output"] == ["Hello, Ada"] and shown["input"] == ["Ada"]  # plain values


def test_a_list_as_json_is_an_object_per_line_and_the_rest_on_stderr(run: Run, an_id: str) -> None:
    for number in range(3):
        run("start", "waits", "--id", f"{an_id}-{number}", "--label", f"of={an_id}")
    ran = run("list", "--json", "--label", f"of={an_id}", "--limit", "2")
    rows, rest = [json.loads(line) for line in ran.out.splitlines()], json.loads(ran.err)
    assert [row["workflowId"] for row in rows] == [f"{an_id}-2", f"{an_id}-1"]
    assert rows[0]["waits"][0]["words"].startswith("waits for signal approve since ")
    assert rest["namespaceCount"] >= 3 and {"state": "WORKFLOW_STATE_RUNNING"}.items() <= rest["stateCounts"][0].items()
    after = run("list", "--json", "-q", "--label", f"of={an_id}", "--next", rest["nextPageToken"])
    assert json.loads(after.out)["workflowId"] == f"{an_id}-0" and after.err == ""
    agent, *_ = [json.loads(line) for line in run("agents", "list", "--json").out.splitlines()]
    assert {can["name"] for can in agent["agent"]["capabilities"]} == {"greet", "broken"}
    (node,) = run("nodes", "list", "--json").out.splitlines()
    assert json.loads(node)["maxWorkflows"] == 10_000
    entries = run("show", f"{an_id}-0", "--journal", "--json").out.splitlines()
    assert [json.loads(line).keys() for line in entries] == [{"workflow"}, {"entry"}]
    run("cancel", *(f"{an_id}-{number}" for number in range(3)), "--yes")


def test_what_fails_says_why_and_is_exit_code_1(run: Run, an_id: str) -> None:
    ran = run("start", "fails", "--id", an_id, "--wait")
    assert (ran.code, ran.out) == (1, "") and "failed: RateLimited: 429 from api" in ran.err
    assert run("watch", an_id).code == 1
    listed = run("list", "--state", "failed", "--limit", "500")
    (line,) = (line for line in listed.out.splitlines() if line.startswith(an_id))
    assert "  broken  RateLimited: 429 from api" in line and "of" in listed.err
    assert "failure RateLimited: 429 from api" in run("show", an_id).out


def test_signals_arrive_once_and_closed_is_closed(run: Run, an_id: str) -> None:
    run("start", "waits", "--id", an_id)
    waiting = run("result", an_id, "--timeout", "100ms")
    assert waiting.code == 7 and "is still running" in waiting.err
    assert run("signal", an_id, "approve", '"ok"', "--request-id", "r1").code == 0
    assert run("result", an_id).out == '"ok"\n'
    late = run("signal", an_id, "approve", '"late"')
    assert late.code == 4
    assert run("cancel", an_id).code == 4


def test_cancel_asks_before_it_touches_many(run: Run, an_id: str) -> None:
    first, second = f"{an_id}-1", f"{an_id}-2"
    for one in (first, second):
        run("start", "waits", "--id", one)
    refused = run("cancel", first, second)
    assert refused.code == 2 and "--yes" in refused.err
    assert run("cancel", first, second, "--yes", "--reason", "enough").code == 0
    ended = run("result", first)
    assert ended.code == 1 and "canceled: enough" in ended.err
    assert any(line.startswith(first) and line.endswith("enough") for line in run("list").out.splitlines())
    assert run("result", second).code == 1


def test_a_human_decides_and_the_next_one_is_told(run: Run, an_id: str) -> None:
    run("start", "asks", "--id", an_id)
    asked = f"{an_id}/ask"
    while asked not in (found := run("escalations", "list", "--workflow", an_id)).out:
        assert "no open question" in found.err
    assert "Release?" in found.out and "yes, no" in found.out
    assert "resolve" in run("escalations", "show", asked).out
    assert run("escalations", "resolve", asked).code == 2  # nobody to ask
    assert run("escalations", "resolve", asked, "--answer", "maybe").code == 2
    assert run("escalations", "resolve", asked, "--answer", "yes", "--comment", "known").code == 0
    assert run("result", an_id).out == '"yes, known"\n'
    assert "“Release?” → yes, “known”" in run("show", an_id).out
    again = run("escalations", "resolve", asked, "--answer", "no")
    assert again.code == 4 and "decided" in again.err and "yes" in again.err
    assert run("escalations", "resolve", f"{an_id}/nothing", "--fail", "no").code == 3


def test_a_step_that_nobody_serves_says_so(run: Run, an_id: str) -> None:
    run("start", "lonely", "--id", an_id)
    while "no live agent serves it" not in run("show", an_id).out:
        pass
    assert "nervenet agent APP --only missing" in run("agents", "list").out
    run("cancel", an_id)


def test_agents_and_nodes(run: Run) -> None:
    agent = run("agents", "list").out.splitlines()[1].split()[0]
    described = run("agents", "describe", agent)
    assert described.code == 0 and "greet v1" in described.out
    assert run("agents", "drain", agent, "--grace", "1s").code == 0
    while "drained" not in run("agents", "list").out:
        pass
    assert run("agents", "resume", agent).code == 0
    while "active" not in run("agents", "list").out:
        pass
    assert "welcome v1" in run("nodes", "list").out
    assert run("agents", "describe", "nobody-00000000").code == 3


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        (("show", "no-such-workflow"), 3, "WORKFLOW_NOT_FOUND"),
        (("watch", "no-such-workflow"), 3, "WORKFLOW_NOT_FOUND"),
        (("start", "no_such_definition", "1"), 3, "DEFINITION_NOT_FOUND"),
        (("list", "--next", "abc"), 2, "INVALID_FIELD"),
        (("start", "waits", "--id", "br{ace}"), 2, "INVALID_FIELD"),
        (("escalations", "show", "no-such-workflow/ask"), 3, "ESCALATION_NOT_FOUND"),
    ],
)
def test_refusals_are_statuses_with_json(run: Run, line: tuple[str, ...], code: int, reason: str) -> None:
    ran = run(*line, "--json")
    assert (ran.code, ran.out) == (code, "")
    status = json.loads(ran.err)
    assert status["message"]
    assert [one["reason"] for one in status["details"] if "reason" in one] == [reason] * bool(reason)


def test_nobody_answers(run: Run) -> None:
    ran = run("list", "--address", "127.0.0.1:1")
    assert ran.code == 5 and "no node answered at 127.0.0.1:1" in ran.err


def test_in_a_process_of_its_own(dev: Dev) -> None:
    piped = dev.run("start", "welcome", "-", "--wait", "-q", stdin='["Ada"]\n')
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, '["Hello, Ada"]\n', "")
