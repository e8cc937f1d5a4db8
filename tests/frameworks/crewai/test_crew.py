# SPDX-License-Identifier: Apache-2.0
"""Crews in the test kit, dropped and rebuilt after every entry, with their tasks run by CrewAI on the stand-in; the same
commands under other hash seeds; what is refused; what CrewAI does to the process."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nervenet.integrations.crewai import CREWAI, DurableCrew, NotSupported, UnsupportedVersion, durable_crew  # isort: skip
from crewai import Agent, Crew, Process, Task  # isort: skip
from crewai.tasks.conditional_task import ConditionalTask  # isort: skip

from nervenet import CallOptions, Context, Mesh, RetryPolicy, Workflow, WorkflowFailed
from nervenet.integrations.crewai.environment import prepare_environment
from nervenet.testing import WorkflowTest, run_agent
from tests.frameworks.crewai import app
from tests.frameworks.journals import same_with_every_seed
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.environment import ROOT

pytestmark = pytest.mark.timeout(300)
SEEDS = [1 + 977 * n for n in range(20)]
DELEGATION = {"task": "count the legs", "context": "bees", "coworker": "Researcher"}
RULES = (
    Rule("Current Task: lead bees", tools=[ToolCall("delegate_work_to_coworker", DELEGATION)]),
    Rule("Current Task: count the legs", reply="six"),
    Rule("^six", role="tool", reply="six legs, says the researcher"),
    Rule("Current Task: facts on bees", reply="six legs"),
    Rule("Current Task: figures on bees", reply="20,000 kinds"),
    Rule("Current Task: draft on bees", json={"title": "Bees", "text": "They fly."}),
    Rule("Current Task: check bees", reply="right"),
)


@pytest.fixture(autouse=True)
def model(llm: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**llm.environment, "STORY_FOLDER": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


def kit(crew: DurableCrew) -> WorkflowTest:
    test = WorkflowTest()
    for place, agent in enumerate(crew.agents.values()):

        async def handle(request: Any, agent: Any = agent) -> Any:
            return await run_agent(agent, request)

        test.stub(agent, handle, takes=timedelta(milliseconds=place * 37 % 50))
    return test


def agent(role: str, **options: Any) -> Agent:
    return Agent(role=role, goal="Work", backstory="A worker.", llm=app.MODEL, **options)


def task(name: str, by: Agent, **options: Any) -> Task:
    return Task(name=name, description=f"do {name}", expected_output="Text.", agent=by, **options)


# ── in the test kit ──────────────────────────────────────────────────────────────────────────────────────────────────


def record(llm: StandIn, folder: Path) -> None:
    """Run the crews of `app`, and keep their journals."""
    llm.script(*RULES)
    run = kit(app.crew).run(app.report, {"topic": "bees"})
    assert run.result["raw"] == "right"
    assert run.result["tasks_output"][2]["pydantic"] == {"title": "Bees", "text": "They fly."}
    assert run.result["token_usage"]["successful_requests"] == 4
    run.journal.dump(folder / "report.json")
    run = kit(app.led_crew).run(app.led, {"topic": "bees"})
    assert [one["raw"] for one in run.result["tasks_output"]] == ["six legs, says the researcher", "20,000 kinds"]
    assert run.journal.names == ["start", "task:led-manager", "task:led-manager.2", "close"]
    assert run.result["token_usage"]["successful_requests"] == 4
    run.journal.dump(folder / "led.json")
    assert sum(llm.paid().values()) == 8


def test_dropped_and_rebuilt_after_every_entry_and_under_other_hash_seeds(llm: StandIn, tmp_path: Path) -> None:
    record(llm, tmp_path)
    assert same_with_every_seed("tests.frameworks.crewai.app", tmp_path, SEEDS[:2]) == 2


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_hash_seeds_bring_the_same_commands(llm: StandIn, tmp_path: Path) -> None:
    record(llm, tmp_path)
    assert same_with_every_seed("tests.frameworks.crewai.app", tmp_path, SEEDS) == 2


def test_a_person_reviews_an_answer_until_they_accept_it(llm: StandIn) -> None:
    llm.script(
        Rule("Current Task: do letter", reply="a long letter"),
        Rule("shorter", anywhere="^a long letter$", reply="a letter"),
    )
    writer = agent("Writer")
    mesh = Mesh("review")
    crew = durable_crew(mesh, Crew(agents=[writer], tasks=[task("letter", writer, human_input=True)]), name="post")
    test = kit(crew)
    question = "post, letter: what should be better? An empty answer accepts the result."
    test.answer(question, "shorter", after=timedelta(hours=1))
    test.answer(question, "", after=timedelta(hours=1))
    run = test.run(crew.workflow(), {})
    assert run.result["raw"] == "a letter" and run.elapsed >= timedelta(hours=2)
    assert sum(llm.paid().values()) == 2
    last = llm.requests()[-1].body["messages"]
    assert [one["role"] for one in last] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(("first", "expected"), [("many", ["many", "sorted"]), ("one", ["one", ""])])
def test_a_conditional_task_runs_or_is_skipped(llm: StandIn, first: str, expected: list[str]) -> None:
    llm.script(Rule("do find", reply=first), Rule("do sort", reply="sorted"))
    finder = agent("Finder")
    sort = ConditionalTask(
        name="sort",
        description="do sort",
        expected_output="Text.",
        agent=finder,
        condition=lambda output: output.raw == "many",
    )
    crew = durable_crew(Mesh("m"), Crew(agents=[finder], tasks=[task("find", finder), sort]), name="sorter")
    run = kit(crew).run(crew.workflow(), {})
    assert [one["raw"] for one in run.result["tasks_output"]] == expected
    assert sum(llm.paid().values()) == sum(map(bool, expected))


def test_a_manager_of_the_user_leads_and_a_person_reviews(llm: StandIn) -> None:
    llm.script(
        Rule("do plan", anywhere="You are Boss", tools=[ToolCall("delegate_work_to_coworker", DELEGATION)]),
        Rule("count the legs", anywhere="You are Researcher", reply="six"),
        Rule("six", role="tool", reply="six legs"),
        Rule("in words", anywhere="^six legs$", reply="six legs, in words"),
    )
    boss, researcher = agent("Boss", allow_delegation=True), agent("Researcher")
    plan = Task(name="plan", description="do plan", expected_output="Text.", human_input=True)
    led = Crew(agents=[researcher], tasks=[plan], process=Process.hierarchical, manager_agent=boss)
    crew = durable_crew(Mesh("m"), led, name="led", slots={"manager": 2})
    test = kit(crew)
    question = "led, plan: what should be better? An empty answer accepts the result."
    test.answer(question, "in words", after=timedelta(hours=1))
    test.answer(question, "", after=timedelta(hours=1))
    run = test.run(crew.workflow(), {})
    assert run.result["raw"] == "six legs, in words" and run.result["tasks_output"][0]["agent"] == "Boss"
    assert list(crew.agents) == ["manager"] and crew.agents["manager"].slots == 2
    assert sum(llm.paid().values()) == 4 and not llm.paid_twice()


def test_in_a_workflow_of_the_user(llm: StandIn) -> None:
    llm.script(Rule("do it", reply="done"))
    worker = agent("Worker")
    mesh = Mesh("m")
    crew = durable_crew(mesh, Crew(agents=[worker], tasks=[task("it", worker)]), name="own")

    @mesh.workflow
    async def twice(ctx: Context) -> list[str]:
        return [(await crew.kickoff(ctx)).raw for _ in range(2)]

    assert kit(crew).run(twice).result == ["done", "done"]
    assert isinstance(twice, Workflow)


def test_a_placeholder_without_a_value_fails_the_workflow() -> None:
    run = kit(app.crew).run(app.report, {"subject": "bees"})
    with pytest.raises(WorkflowFailed, match=r"crew 'report' has placeholders without a value: topic\. Put"):
        assert run.result


def test_a_task_that_fails_for_good_fails_the_workflow_with_its_own_error(llm: StandIn) -> None:
    llm.script(Rule("do quick", status=400, message="bad model"), Rule("do slow", reply="slow"))
    worker = agent("Worker", max_retry_limit=0)
    tasks = [task("slow", worker, async_execution=True), task("quick", worker)]
    once = CallOptions(retry=RetryPolicy(max_attempts=1))
    crew = durable_crew(Mesh("m"), Crew(agents=[worker], tasks=tasks), name="failing", options={"Worker": once})
    with pytest.raises(WorkflowFailed, match=r"failed: BadRequestError: .*bad model"):
        assert kit(crew).run(crew.workflow(), {}).result


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_supported_is_refused_with_the_line_and_the_cure() -> None:
    one, two = agent("One"), agent("Two")

    def refused(message: str, crew: Crew, name: str = "c", mesh: Mesh | None = None, **options: Any) -> None:
        with pytest.raises(NotSupported, match=message) as caught:
            durable_crew(mesh or Mesh("m"), crew, name=name, **options)
        assert str(caught.value).startswith("test_crew.py:")

    tasks = [task("a", one), task("b", two)]
    plain = Crew(agents=[one, two], tasks=tasks)
    refused("planning=True.*leave it out", Crew(agents=[one, two], tasks=tasks, planning=True))
    refused("callbacks before or after kickoff", Crew(agents=[one, two], tasks=tasks, before_kickoff_callbacks=[dict]))
    refused("two agents.*'One'", Crew(agents=[one, agent("One")], tasks=[task("a", one)]))
    refused("two tasks.*'a'", Crew(agents=[one], tasks=[task("a", one), task("a", one)]))
    refused(
        "'c-one', which is the agent with the role 'One'", Crew(agents=[one, agent("one!")], tasks=[task("a", one)])
    )
    refused("use letters", plain, name="a b")
    refused("options= names 'Three', but the roles of crew 'c' are: One, Two", plain, options={"Three": None})
    refused("slots= names 'Three'", plain, slots={"Three": 1})
    mesh = Mesh("m")
    durable_crew(mesh, plain, name="c")
    refused("which is the agent at", plain, mesh=mesh)


@pytest.mark.parametrize("version", ["1.14.9", "2.0.0"])
def test_a_version_outside_of_the_range(version: str) -> None:
    with pytest.raises(UnsupportedVersion, match=f"{version} is installed.*pip install"):
        CREWAI.require(version)


# ── what CrewAI does to the process ──────────────────────────────────────────────────────────────────────────────────


def test_the_environment_keeps_what_the_user_chose() -> None:
    chosen = {"CREWAI_DISABLE_TELEMETRY": "false", "CREWAI_STORAGE_DIR": "/srv/crew"}
    prepare_environment(chosen)
    assert chosen["CREWAI_DISABLE_TELEMETRY"] == "false" and chosen["CREWAI_STORAGE_DIR"] == "/srv/crew"
    with pytest.raises(ValueError, match="set it to an absolute path"):
        prepare_environment({"CREWAI_STORAGE_DIR": "crew"})


QUIET = """
import asyncio, os, signal, sys
def drain(*_): print("drained", flush=True)
import nervenet.integrations.crewai
signal.signal(signal.SIGTERM, drain)
from tests.frameworks.crewai import app
from nervenet.testing import run_agent
request = {"task": "check", "inputs": {"topic": "bees"}, "context": ""}
print(asyncio.run(run_agent(app.crew.agents["Researcher"], request))["output"]["raw"])
assert signal.getsignal(signal.SIGTERM) is drain
os.kill(os.getpid(), signal.SIGTERM)
"""


MADE_BY_THE_IMPORT = ".local/share/crewai/credentials/secret.key"
"""The import of CrewAI makes it, and no variable changes that (see docs/howto/crewai.md)."""


def test_sigterm_stays_ours_and_no_data_is_written_to_the_home(llm: StandIn, tmp_path: Path) -> None:
    llm.script(*RULES)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CREWAI_")}
    home = tmp_path / "home"
    work = tmp_path / "work"
    for folder in (home, work):
        folder.mkdir()
    places = os.pathsep.join([str(ROOT), str(ROOT / "python")])
    env = {**kept, "HOME": str(home), "PYTHONPATH": places, "STORY_FOLDER": str(tmp_path)}
    env.pop("XDG_DATA_HOME", None)
    done = subprocess.run([sys.executable, "-c", QUIET], cwd=work, env=env, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["right", "drained"]
    assert list(work.rglob("*")) == []
    assert {str(one.relative_to(home)) for one in home.rglob("*") if one.is_file()} <= {MADE_BY_THE_IMPORT}
