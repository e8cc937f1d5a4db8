# SPDX-License-Identifier: Apache-2.0
"""Random workflows against random journals: whatever the shape, a machine rebuilt anywhere wants the same.

The seed is in the test's id; `NERVENET_TEST_SHAPES=1000` runs more of them.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest

from nervenet.durable import (
    CloseRun,
    Context,
    Dispatch,
    EscalateStep,
    Expire,
    FailStep,
    Machine,
    Phase,
    StartTimer,
    StopTimer,
    Withdraw,
)
from nervenet.errors import CallFailed
from nervenet.options import CallOptions, RetryPolicy
from nervenet.records import (
    Action,
    Attempt,
    Cancel,
    Decided,
    Escalated,
    Failure,
    FailureCode,
    Outcome,
    Question,
    Signaled,
    TimerFired,
)
from tests.durable.flows import Feeder, approve, extract, flow, greet, text, validate

COUNT = int(os.environ.get("NERVENET_TEST_SHAPES", "120"))
AGENTS = (greet, extract, validate)
POLICIES = (
    None,
    CallOptions(retry=RetryPolicy(max_attempts=2)),
    CallOptions(retry=RetryPolicy(max_attempts=1, on_exhausted="escalate")),
    CallOptions(on_cancel="wait"),
    CallOptions(on_cancel="leave"),
)


def shape(dice: random.Random, depth: int) -> Any:
    """A tree of things to do; its leaves are calls, sleeps, signals and questions."""
    kinds = ["call"] * 4 + ["sleep", "receive", "ask"]
    if depth:
        kinds += ["gather", "group", "first", "wait_for", "seq", "map", "shield"] * 2
    kind = dice.choice(kinds)
    if kind in ("gather", "group", "first", "seq"):
        return kind, [shape(dice, depth - 1) for _ in range(dice.randint(1, 4))]
    if kind in ("wait_for", "shield"):
        return kind, dice.randint(1, 50), shape(dice, depth - 1)
    return kind, dice.randrange(1 << 16)


async def act(ctx: Context, tree: Any) -> str:
    match tree:
        case "call", n:
            return await ctx.call(AGENTS[n % 3], str(n), options=POLICIES[n % 5])
        case "sleep", n:
            await asyncio.sleep(n % 40)
            return "slept"
        case "receive", _:
            return await ctx.receive(approve)
        case "ask", _:
            return (await ctx.ask("Well?", choices=["ok"])).value
        case "map", n:
            return "".join(await ctx.map(AGENTS[n % 3], ["a", "b", "c", "d"], concurrency=1 + n % 3))
        case "seq", parts:
            return "".join([await act(ctx, part) for part in parts])
        case "gather", parts:
            return "".join(map(str, await asyncio.gather(*(act(ctx, p) for p in parts), return_exceptions=True)))
        case "group", parts:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(act(ctx, part)) for part in parts]
            return "".join(task.result() for task in tasks)
        case "first", parts:
            tasks = [asyncio.create_task(act(ctx, part)) for part in parts]
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            return "".join(task.result() for task in done)
        case "wait_for", seconds, part:
            try:
                return await asyncio.wait_for(act(ctx, part), seconds)
            except TimeoutError:
                return "late"
        case "shield", _, part:
            return await asyncio.shield(act(ctx, part))
    raise AssertionError(tree)


def workflow_of(tree: Any) -> Any:
    async def random_shape(ctx: Context) -> str:
        ctx.publish("begun")
        try:
            return await act(ctx, tree)
        except* CallFailed as failed:
            await ctx.call(greet, f"undo {len(failed.exceptions)}")
        finally:
            await ctx.call(greet, f"after {ctx.uuid()}")
        return "mended"

    return flow(random_shape)


class World:
    """Wants of the machine on one side, entries in random order on the other."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.feeder = Feeder(workflow_of(shape(self.dice, 3)))
        self.taken: set[str] = set()

    def step(self) -> bool:
        feeder, dice = self.feeder, self.dice
        wants = [c for c in feeder.machine.outstanding() if not isinstance(c, StopTimer)]
        if dice.random() < 0.03:
            wants.append(Cancel("dice"))  # type: ignore[arg-type]
        if dice.random() < 0.2 or not wants:
            wants.append(Signaled("approve", text("yes")))  # type: ignore[arg-type]
        name, body = self.answer(dice.choice(wants))
        if name in self.taken:
            return True
        self.taken.add(name)
        after = max(1, body.due_ms - feeder.now_ms) if isinstance(body, TimerFired) else dice.randint(1, 5_000)
        feeder.feed(name, body, after_ms=after)
        if isinstance(body, Decided) and body.action is Action.COMPLETE:
            feeder.feed("task:" + name.partition(":")[2].partition("#")[0], Outcome(text("ok"), None), after_ms=0)
        return name != "close"

    def answer(self, want: Any) -> tuple[str, Any]:
        dice = self.dice
        match want:
            case Dispatch():
                mine = {"capability": want.capability, "digest": want.digest}
                if dice.random() < 0.65:
                    return f"task:{want.step}", Outcome(text("ok"), None, **mine)
                if dice.random() < 0.15:
                    return f"attempt:{want.step}#{want.attempt}", Attempt(None, Question("Hm?", "agent"), **mine)
                code = dice.choice([FailureCode.APPLICATION, FailureCode.AGENT_LOST, FailureCode.AGENT_DRAINED])
                return f"attempt:{want.step}#{want.attempt}", Attempt(Failure(code, "no"), **mine)
            case Withdraw():
                late = dice.random() < 0.3
                gone = Outcome(text("late"), None) if late else Outcome(None, Failure(FailureCode.CANCELED, "gone"))
                return f"task:{want.step}", gone
            case StartTimer():
                return f"timer:{want.number}", TimerFired(want.due_ms)
            case FailStep():
                return f"task:{want.step}", want.outcome
            case EscalateStep():
                return f"escalated:{want.step}#{want.question_number}", Escalated(want.question)
            case Expire():
                return f"decided:{want.step}#{want.question_number}", want.decided
            case CloseRun():
                return "close", want.close
            case Signaled():
                return f"signal:{len(self.feeder.entries)}", want
            case Cancel():
                return "cancel", want
        open_steps = [c for c in self.feeder.machine.pending.values() if c.phase is Phase.OPEN]
        if not open_steps:
            return f"signal:{len(self.feeder.entries)}", Signaled("approve", text("yes"))
        call = dice.choice(open_steps)
        retry = call.kind == "call" and dice.random() < 0.4
        decided = Decided(Action.RETRY, attempts=1) if retry else Decided(Action.COMPLETE, text("ok"))
        return f"decided:{call.step}#{call.question_number}", decided


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_machine_rebuilt_after_any_entry_wants_what_the_first_one_wants(seed: int) -> None:
    world = World(seed)
    feeder = world.feeder
    for _ in range(400):
        going = world.step()
        assert feeder.machine.blocked is None, feeder.machine.blocked
        rebuilt = feeder.rebuilt()
        assert rebuilt.outstanding() == feeder.machine.outstanding()
        assert (rebuilt.state, rebuilt.view, rebuilt.result) == (
            feeder.machine.state,
            feeder.machine.view,
            feeder.machine.result,
        )
        if world.dice.random() < 0.5:  # another node goes on from here
            feeder.machine.close()
            feeder.machine = rebuilt
        if not going:
            break
    assert isinstance(feeder.machine, Machine) and feeder.machine.state.closed, feeder.machine
