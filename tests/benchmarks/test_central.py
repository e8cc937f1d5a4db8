# SPDX-License-Identifier: Apache-2.0
"""The central orchestrator that nervenet is compared with is a real one: it decides correctly, and loses nothing when a process is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from benchmarks.central.client import Client, WorkflowFailed
from benchmarks.central.engine import (
    Close,
    Create,
    Dispatch,
    Effect,
    Engine,
    SaveAttempt,
    SaveStep,
    StartRequested,
    StepEnded,
    Workflow,
)
from nervenet.dev.servers import tied
from tests.support.environment import ROOT, clean_environment

A = b"a-1"
START = StartRequested(A, b"four", b"me", b'"0|x"')


def ended(step: int, value: bytes = b'"v"', *, attempt: int = 1, error: bytes = b"") -> StepEnded:
    return StepEnded(A, step, attempt, value, error)


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


def test_four_steps_each_get_the_result_of_the_last_one() -> None:
    engine = Engine()
    assert engine.apply(START)[1] == Dispatch(A, b"work", 0, 1, b'"0|x"')
    for step in range(3):
        saved, task = engine.apply(ended(step, b"%d" % step))
        assert isinstance(saved, SaveStep)
        assert task == Dispatch(A, b"work", step + 1, 1, b"%d" % step)

    (close,) = engine.apply(ended(3, b'"end"'))

    assert isinstance(close, Close)
    assert (close.status, close.value) == (b"SUCCEEDED", b'"end"')
    assert not engine.open


def test_twenty_steps_keep_every_result() -> None:
    engine = Engine()
    engine.apply(StartRequested(A, b"twenty", b"me", b'"0|x"'))
    for step in range(19):
        assert engine.apply(ended(step, b'"abc"'))[1] == Dispatch(A, b"write", step + 1, 1, b'"0|x"')

    (close,) = engine.apply(ended(19, b'"abc"'))

    assert isinstance(close, Close)
    assert close.value == b"60"


@pytest.mark.parametrize(
    "event",
    [
        START,
        ended(0),
        ended(1, attempt=2),
        ended(2),
        StepEnded(b"unknown", 0, 1, b"1", b""),
    ],
)
def test_an_event_that_comes_twice_or_too_late_has_no_effect(event: StartRequested | StepEnded) -> None:
    engine = Engine()
    engine.apply(START)
    engine.apply(ended(0))

    assert engine.apply(event) == []


def test_a_step_that_fails_is_tried_three_times() -> None:
    engine = Engine()
    engine.apply(START)
    for attempt in (1, 2):
        saved, task = engine.apply(ended(0, attempt=attempt, error=b"broken"))
        assert isinstance(saved, SaveAttempt)
        assert task == Dispatch(A, b"work", 0, attempt + 1, b'"0|x"')

    (close,) = engine.apply(ended(0, attempt=3, error=b"broken"))

    assert isinstance(close, Close)
    assert (close.status, close.value) == (b"FAILED", b"broken")


def test_an_unknown_workflow_fails_at_once() -> None:
    assert kinds(Engine().apply(StartRequested(A, b"what", b"me", b"1"))) == [Create, Close]


def test_an_engine_continues_with_what_was_saved() -> None:
    before = Engine()
    before.apply(START)
    before.apply(ended(0))
    (workflow,) = before.open.values()

    after = Engine([Workflow(A, workflow.definition, b"me", workflow.input, 1, 1, list(workflow.results))])

    assert after.dispatch(after.open[A]) == Dispatch(A, b"work", 1, 1, b'"v"')
    assert kinds(after.apply(ended(1))) == [SaveStep, Dispatch]


@contextmanager
def process(*args: str) -> Iterator[tuple[subprocess.Popen[str], int | str]]:
    """A role of compared.py, and what it said when it was ready."""
    command = [sys.executable, str(ROOT / "benchmarks/compared.py"), *args]
    child = subprocess.Popen(tied(command), stdout=subprocess.PIPE, text=True, env=clean_environment())
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, f"{args[0]} ended with {child.wait()}"
        yield child, json.loads(line)
    finally:
        child.terminate()
        child.wait(20)
        assert child.stdout is not None
        child.stdout.close()


@pytest.mark.timeout(240)  # processes start, one of them twice, and a worker counts as dead only after three seconds
@pytest.mark.parametrize("form", ["central", "central-naive"])
async def test_nothing_is_lost_when_the_orchestrator_and_a_worker_are_killed(
    form: str, redis_url: str, namespace: str
) -> None:
    texts = {f"w-{i}": f"300|{i}" for i in range(40)}
    with ExitStack() as stack:
        supervisor, orchestrator = stack.enter_context(process(form, redis_url, namespace))
        victim, _ = stack.enter_context(process("worker", redis_url, namespace))
        stack.enter_context(process("worker", redis_url, namespace))
        async with Client(redis_url, namespace) as client:
            await client.run("four", "0|warm", "warm")
            running = {key: asyncio.create_task(client.run("four", text, key)) for key, text in texts.items()}
            await asyncio.sleep(0.5)  # each is in one of its four steps of 0.3 s
            assert not any(task.done() for task in running.values())
            os.kill(int(orchestrator), signal.SIGKILL)
            victim.kill()
            async with asyncio.timeout(120):
                results = dict(zip(running, await asyncio.gather(*running.values()), strict=True))
        assert supervisor.stdout is not None
        restarted = json.loads(supervisor.stdout.readline())

    assert results == texts
    assert restarted != orchestrator


async def test_a_handler_that_raises_fails_its_workflow(redis_url: str, namespace: str) -> None:
    with ExitStack() as stack:
        stack.enter_context(process("central", redis_url, namespace))
        stack.enter_context(process("worker", redis_url, namespace))
        async with Client(redis_url, namespace) as client, asyncio.timeout(30):
            with pytest.raises(WorkflowFailed, match="ValueError"):
                await client.run("four", "no number", "w-1")
