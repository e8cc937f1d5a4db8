# SPDX-License-Identifier: Apache-2.0
"""A run with many steps: what it waits for is known without a look at all of them, and what its calls have in common is made once."""

from __future__ import annotations

import asyncio

import pytest

from nervenet import CallOptions, Context
from nervenet.definitions import define_agent, define_workflow
from nervenet.durable import PYTHON, Dispatch, Machine
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


async def shout(text: str) -> str:
    return text


loud = define_agent(shout)


async def one_line_calls_many(ctx: Context) -> list[object]:
    """One line with other agents, names and options each time, and an input that changes behind the call."""
    labels = [CallOptions(labels={"n": str(n)}) for n in range(2)]
    given, calls = {"n": 0}, []
    for target, options in ((agent, None), (loud, None), ("open", None), (agent, labels[0]), (agent, labels[1])):
        calls.append(ctx.call(target, given if target == "open" else "a", options=options))  # type: ignore[call-overload]
        given["n"] += 1
    return await asyncio.gather(*calls)


def test_calls_of_one_line_keep_their_own_target_options_and_input() -> None:
    for _ in range(2):  # the second run finds what the first one made
        machine = Machine(ONE_LINE, "w")
        start = Start(ONE_LINE.name, 1, PYTHON, Payload("none", b""), b"0123456789abcdef")
        sent = [one for one in machine.apply(Entry("start", start, 1, 1_000)) if isinstance(one, Dispatch)]
        assert [(one.step, one.capability) for one in sent] == [
            ("echo", "echo"), ("shout", "shout"), ("open", "open"), ("echo.2", "echo"), ("echo.3", "echo")
        ]  # fmt: skip
        assert [one.input.data for one in sent] == [b'"a"', b'"a"', b'{"n":2}', b'"a"', b'"a"']
        assert [dict(one.options.labels) for one in sent] == [{}, {}, {}, {"n": "0"}, {"n": "1"}]


ONE_LINE = define_workflow(one_line_calls_many)


async def wrong_inputs(ctx: Context) -> list[str]:
    found = []
    for wrong in ("\ud800", 7, "x" * 2_000):
        try:
            ctx.call(agent, wrong)  # type: ignore[arg-type]  # not awaited: the call itself refuses it
        except ValueError as error:
            found.append(type(error).__name__)
    return found


def test_an_input_that_does_not_fit_is_refused_by_the_call_and_not_later() -> None:
    machine = Machine(define_workflow(wrong_inputs), "w", payload_limit=1_024)
    start = Start("wrong_inputs", 1, PYTHON, Payload("none", b""), b"0123456789abcdef")
    machine.apply(Entry("start", start, 1, 1_000))
    assert machine.result is not None and machine.result.output is not None
    assert machine.result.output.data == b'["InvalidPayload","InvalidPayload","PayloadTooLarge"]'


@pytest.mark.parametrize("value", ["", 'a"\\\x00\x1f\x7f/', "\u00e9\u2028", "x" * 170, "x" * 171])
def test_a_text_is_written_the_same_whenever_it_is_encoded(value: str) -> None:
    """A short plain text is encoded when its call becomes a step, any other at once."""

    async def says(ctx: Context) -> None:
        await ctx.call(agent, value)

    machine = Machine(define_workflow(says), "w", payload_limit=1_024)
    start = Start("says", 1, PYTHON, Payload("none", b""), b"0123456789abcdef")
    (sent,) = machine.apply(Entry("start", start, 1, 1_000))
    assert isinstance(sent, Dispatch) and sent.input == agent.input.encode(value)
    assert sent.digest == sent.input.digest()
