# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed, that fork, and that share a thread."""

from __future__ import annotations

import multiprocessing
import os
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nervenet.integrations.langgraph import NervenetSaver
from tests.frameworks.langgraph.saver import graphs
from tests.frameworks.langgraph.saver.conftest import SaverFactory
from tests.support.environment import ROOT, clean_environment
from tests.support.processes import Process
from tests.support.waiting import wait_until


def config_of(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def begun(folder: Path) -> list[str]:
    file = folder / "begun"
    return file.read_text().split() if file.exists() else []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", [3, 4])
def test_kill_9_in_the_middle_and_resume_in_another_process(tmp_path: Path, redis_url: str, step: int) -> None:
    """Steps that had ended are not run again; the one that was killed is."""
    namespace, thread = f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4())
    env = clean_environment(PYTHONPATH=str(ROOT))

    def start(how: str) -> Process:
        command = [sys.executable, "-m", "tests.frameworks.langgraph.saver.run_slow"]
        return Process([*command, redis_url, namespace, thread, str(tmp_path), how], tmp_path / f"{how}.log", env)

    first = start("start")
    try:
        wait_until(lambda: "step3" in begun(tmp_path), "step3 has begun", within=100, of=first)
        for before in range(3, step):
            (tmp_path / f"go-step{before}").touch()
        wait_until(lambda: f"step{step}" in begun(tmp_path), "the step has begun", within=100, of=first)
    finally:
        first.kill()
    killed_in = f"step{step}"
    with NervenetSaver.from_url(redis_url, namespace=namespace) as saver:
        state = graphs.slow(saver, tmp_path).get_state(config_of(thread))
        assert state.next == (killed_in,)
        assert state.values["log"] == ["in", *begun(tmp_path)[:-1]]

    for later in range(step, 6):
        (tmp_path / f"go-step{later}").touch()
    second = start("resume")
    try:
        assert second.wait(100) == 0, second.logs()
    finally:
        second.kill()
    assert second.log.splitlines()[-1] == "ended with in step0 step1 step2 step3 step4 step5"
    assert Counter(begun(tmp_path)) == Counter([*(f"step{n}" for n in range(6)), killed_in])


def _turns(url: str, namespace: str, thread: str, name: str, count: int) -> None:
    with NervenetSaver.from_url(url, namespace=namespace, keep=20) as saver:
        for n in range(count):
            own = config_of(f"{thread}-{name}")
            for config in (own, config_of(thread)):
                graphs.chat(saver).invoke({"messages": [("user", f"{name} {n}")]}, config)


@pytest.mark.timeout(300)  # each process imports LangGraph
def test_three_processes_on_one_thread(redis_url: str, make_saver: SaverFactory) -> None:
    """All write to one thread and to one of their own: no state is torn, and no other thread is touched."""
    namespace, thread = f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4())
    context = multiprocessing.get_context("spawn")
    names = ["a", "b", "c"]
    workers = [context.Process(target=_turns, args=(redis_url, namespace, thread, name, 10)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(250)
    assert [worker.exitcode for worker in workers] == [0] * 3
    saver = make_saver(namespace=namespace)
    for name in names:
        messages = graphs.chat(saver).get_state(config_of(f"{thread}-{name}")).values["messages"]
        assert [one.content for one in messages[::2]] == [f"{name} {n}" for n in range(10)]
    shared = list(graphs.chat(saver).get_state_history(config_of(thread)))
    assert 1 <= len(shared) <= 22
    for snapshot in shared:
        for message in snapshot.values.get("messages", []):
            assert message.content


def test_a_forked_process_opens_its_own_connection(saver: NervenetSaver) -> None:
    thread = str(uuid.uuid4())
    graphs.steps(saver).invoke({"text": "in"}, config_of(thread))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            graphs.steps(saver).invoke({"text": "in the child"}, config_of(thread))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(graphs.steps(saver).get_state(config_of(thread)).values["log"]) == 6
