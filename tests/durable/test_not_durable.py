# SPDX-License-Identifier: Apache-2.0
"""What cannot be replayed says so: the call, the workflow, the line, the cure."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from nervenet.durable import Context
from nervenet.errors import NotDurable
from nervenet.records import State
from tests.durable.flows import Feeder, flow


def parse(path: str) -> str:
    return path


async def nothing() -> None: ...


def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


FORBIDDEN: list[tuple[str, Callable[[], Any], str, str]] = [
    (
        "to_thread",
        lambda: asyncio.to_thread(parse, "x"),
        "asyncio.to_thread()",
        "@mesh.agent def parse(path: str) -> str: …, then: await ctx.call(parse, path)",
    ),
    (
        "builtin",
        lambda: asyncio.to_thread(len, "x"),
        "asyncio.to_thread()",
        "If it is quick, call len(…) without a thread. Else make it an agent: @mesh.agent def work(value: T) -> R: …",
    ),
    ("executor", lambda: loop().run_in_executor(None, parse, "x"), "loop.run_in_executor()", "@mesh.agent def parse"),
    ("connect", lambda: asyncio.open_connection("localhost", 1), "asyncio.open_connection()", "Make it an agent"),
    ("serve", lambda: asyncio.start_server(nothing, "localhost", 1), "asyncio.start_server()", "Make it an agent"),
    ("exec", lambda: asyncio.create_subprocess_exec("true"), "asyncio.create_subprocess_exec()", "Make it an agent"),
    ("shell", lambda: asyncio.create_subprocess_shell("true"), "asyncio.create_subprocess_shell()", "Make it an agent"),
    ("sock", lambda: loop().sock_recv(socket.socket(), 1), "loop.sock_recv()", "Make it an agent"),
    ("reader", lambda: loop().add_reader(0, print), "loop.add_reader()", "Make it an agent"),
    ("dns", lambda: loop().getaddrinfo("localhost", 1), "loop.getaddrinfo()", "Make it an agent"),
    (
        "signal",
        lambda: loop().add_signal_handler(signal.SIGTERM, print),
        "loop.add_signal_handler()",
        "Declare a Signal",
    ),
    (
        "thread",
        lambda: loop().call_soon_threadsafe(print),
        "loop.call_soon_threadsafe()",
        "Nothing outside may call in",
    ),
    ("run", lambda: loop().run_until_complete(nothing()), "loop.run_until_complete()", "await the coroutine instead"),
    ("stop", lambda: loop().stop(), "loop.stop()", "await the coroutine instead"),
    ("factory", lambda: loop().set_task_factory(None), "loop.set_task_factory()", "leave the factory alone"),
]


@pytest.mark.parametrize(("what", "call", "named", "cure"), FORBIDDEN, ids=[item[0] for item in FORBIDDEN])
def test_the_error_names_the_call_the_workflow_the_line_and_the_cure(
    what: str, call: Callable[[], Any], named: str, cure: str
) -> None:
    async def review(ctx: Context) -> None:
        found = call()
        if found is not None:
            await found

    machine = Feeder(flow(review)).machine
    assert machine.state is State.BLOCKED and isinstance(machine.error, NotDurable)
    message = str(machine.error)
    assert message.startswith(f"{named} in workflow 'review' (test_not_durable.py:"), message
    assert "cannot be replayed after a crash. " in message and cure in message, message


def test_a_nested_run_and_a_foreign_future_are_recognised_when_they_leave_the_function() -> None:
    async def nested(ctx: Context) -> None:
        work = nothing()
        try:
            asyncio.run(work)
        finally:
            work.close()

    other = asyncio.new_event_loop()
    foreign = other.create_future()

    async def waits(ctx: Context) -> None:
        await foreign

    for fn, words in ((nested, "asyncio.run"), (waits, "future of another loop")):
        machine = Feeder(flow(fn)).machine
        assert machine.state is State.BLOCKED and isinstance(machine.error, NotDurable)
        assert words in str(machine.error) and "(test_not_durable.py:" in str(machine.error)
        assert isinstance(machine.error.__cause__, RuntimeError)
    other.close()


def test_a_runtime_error_of_the_user_stays_what_it_is() -> None:
    async def breaks(ctx: Context) -> None:
        raise RuntimeError("mine")

    close = Feeder(flow(breaks)).machine.result
    assert close is not None and close.failure is not None and close.failure.type == "RuntimeError"
