# SPDX-License-Identifier: Apache-2.0
"""A run with many steps: what it waits for is known without a look at all of them."""

from __future__ import annotations

import asyncio

from nervenet import Context
from nervenet.definitions import define_agent, define_workflow
from nervenet.durable import PYTHON, Machine
from nervenet.records import Action, Decided, Entry, Escalated, Outcome, Payload, Question, Start, State


async def echo(text: str) -> str:
    return text


agent = define_agent(echo)
TEXT, YES = Payload("json", b'""'), Payload("json", b'"yes"')


async def asking(ctx: Context) -> int:
    """Two questions beside three steps."""
    asks = [ctx.ask("One?", choices=["yes"]), ctx.ask("Two?", choices=["yes"])]
    return len(await asyncio.gather(*(ctx.call(agent, "") for _ in range(3)), *asks))


def test_a_run_waits_for_a_human_for_as_long_as_a_question_is_open() -> None:
    machine = Machine(define_workflow(asking), "w")
    n = 0

    def apply(name: str, body: object) -> State:
        nonlocal n
        n += 1
        machine.apply(Entry(name, body, n, 1_000 + n))  # type: ignore[arg-type]  # each is a body
        return machine.state

    start = Start("asking", 1, PYTHON, Payload("none", b""), b"0123456789abcdef")
    assert apply("start", start) is State.WAITING_FOR_HUMAN
    for step, text in (("ask", "One?"), ("ask.2", "Two?")):
        assert (
            apply(f"escalated:{step}#1", Escalated(Question(text, "workflow", choices=("yes",))))
            is State.WAITING_FOR_HUMAN
        )
    assert apply("task:echo", Outcome(TEXT, None, "echo", TEXT.digest(), 1)) is State.WAITING_FOR_HUMAN
    for step, state in (("ask.2", State.WAITING_FOR_HUMAN), ("ask", State.RUNNING)):
        apply(f"decided:{step}#1", Decided(Action.COMPLETE, YES, resolver="ada"))
        assert apply(f"task:{step}", Outcome(YES, None)) is state
    assert machine.blocked is None
