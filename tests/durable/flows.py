# SPDX-License-Identifier: Apache-2.0
"""Workflows that the machine's tests run, and the hand that feeds entries to a machine."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from nervenet.definitions import Agent, Signal, Workflow, define_workflow
from nervenet.durable import PYTHON, Command, Context, Machine
from nervenet.errors import CallFailed
from nervenet.options import CallOptions, RetryPolicy, Timeouts
from nervenet.records import (
    Attempt,
    Body,
    Cancel,
    Entry,
    Failure,
    FailureCode,
    Outcome,
    Payload,
    Question,
    Signaled,
    Start,
    TimerFired,
)

greet = Agent.remote("greet", str, str)
extract = Agent.remote("extract", str, str)
validate = Agent.remote("validate", str, str)
approve = Signal("approve", str)


def flow(fn: Any) -> Workflow[Any, Any]:
    return define_workflow(fn)


def text(value: str) -> Payload:
    return Payload("json", f'"{value}"'.encode())


class Feeder:
    """Numbers and times entries as a journal does, and keeps them so that a crash can be played."""

    def __init__(self, workflow: Workflow[Any, Any], given: Payload | None = None, **machine: Any) -> None:
        self.workflow = workflow
        self.machine = Machine(workflow, "wf-1", **machine)
        self.entries: list[Entry] = []
        self.now_ms = 1_000_000
        self.first = self.feed(
            "start", Start(workflow.name, workflow.version, PYTHON, given or Payload("none", b""), b"s" * 16)
        )

    def feed(self, name: str, body: Body, *, after_ms: int = 10) -> list[Command]:
        self.now_ms += after_ms
        entry = Entry(name, body, len(self.entries) + 1, self.now_ms)
        self.entries.append(entry)
        return self.machine.apply(entry)

    def done(self, step: str, value: str = "ok", **more: Any) -> list[Command]:
        return self.feed(f"task:{step}", Outcome(text(value), None, **more))

    def failed(self, step: str, code: FailureCode = FailureCode.APPLICATION, **more: Any) -> list[Command]:
        return self.feed(f"task:{step}", Outcome(None, Failure(code, "no", **more)))

    def attempt(self, step: str, n: int, failure: Failure | None = None, **more: Any) -> list[Command]:
        return self.feed(f"attempt:{step}#{n}", Attempt(failure or Failure(FailureCode.APPLICATION, "no"), **more))

    def asks(self, step: str, n: int, question: Question) -> list[Command]:
        return self.feed(f"attempt:{step}#{n}", Attempt(None, question))

    def timer(self, k: int, due_ms: int) -> list[Command]:
        return self.feed(f"timer:{k}", TimerFired(due_ms), after_ms=max(0, due_ms - self.now_ms))

    def signal(self, value: str, name: str = "approve") -> list[Command]:
        return self.feed(f"signal:{len(self.entries)}", Signaled(name, text(value)))

    def cancel(self, *, timeout: bool = False) -> list[Command]:
        return self.feed("cancel", Cancel("enough", "ana", timeout))

    def rebuilt(self) -> Machine:
        """The machine as another node would make it from the journal."""
        machine = Machine(self.workflow, "wf-1")
        machine.foresee(self.entries)
        for entry in self.entries:
            machine.apply(entry, replaying=True)
        return machine


# ── the workflow of the must-show: everything at once ────────────────────────────────────────────────────────────────

ONCE_MORE = CallOptions(retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(seconds=2)))
HURRY = CallOptions(timeouts=Timeouts(attempt=timedelta(seconds=30)))


async def everything_flow(ctx: Context, name: str) -> list[str]:
    seen: list[str] = []
    seen += await asyncio.gather(*(ctx.call(greet, f"{name}-{i}") for i in range(3)))
    async with asyncio.TaskGroup() as group:
        facts = group.create_task(ctx.call(extract, name, options=ONCE_MORE))
        group.create_task(ctx.call(validate, name))
    seen.append(facts.result())
    try:
        await asyncio.wait_for(ctx.call(extract, "slow"), 5)
    except TimeoutError:
        seen.append("too slow")
    tasks = [asyncio.create_task(ctx.call(greet, f"race-{i}")) for i in range(12)]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    seen += [task.result() for task in done]
    for task in rest:
        task.cancel()
    for finished in asyncio.as_completed([asyncio.create_task(ctx.call(validate, f"v{i}")) for i in range(6)]):
        seen.append(await finished)
    await asyncio.sleep(86_400)
    try:
        async with asyncio.timeout(3_600):
            seen.append(await ctx.receive(approve))
    except TimeoutError:
        seen.append("nobody")
    try:
        await ctx.call(validate, "bad")
    except CallFailed as failed:
        seen.append(failed.failure.message)
    seen += [ctx.uuid().hex, str(ctx.random.random()), ctx.now().isoformat()]
    return seen


everything = define_workflow(everything_flow, name="everything")
