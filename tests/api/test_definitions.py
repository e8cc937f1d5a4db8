# SPDX-License-Identifier: Apache-2.0
"""Definitions: what is read off a function's signature, and what is said about a function that is none of ours."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from nervenet.definitions import Agent, Signal, Workflow, define_agent, define_workflow
from nervenet.options import CallOptions, Timeouts
from nervenet.records import Payload
from nervenet.signatures import ContextBase, TaskBase

if TYPE_CHECKING:
    from somewhere import Context as OnlyForCheckers  # type: ignore[import-not-found]  # does not exist on purpose

R = TypeVar("R")


class Task(TaskBase, Generic[R]): ...


class Context(ContextBase): ...


@dataclass
class Doc:
    name: str


async def plain(doc: Doc) -> list[str]:
    """Reads a document.

    At length.
    """
    return [doc.name]


async def nothing() -> None: ...


def in_thread(task: Task[int], doc: Doc) -> bytes:
    return b""


async def only_task(task: Task[None]) -> int:
    return 1


class Service:
    async def method(self, task: Task[None], doc: Doc) -> int:
        return 1

    def __call__(self, doc: Doc) -> int:
        return 2


def partial_of(doc: Doc, *, model: str) -> str:
    return model


@functools.wraps(plain)
async def decorated(*args: Any) -> Any:
    return await plain(*args)


@pytest.mark.parametrize(
    ("fn", "input_", "output", "takes_task", "takes_payload", "is_async"),
    [
        (plain, Doc, list[str], False, True, True),
        (nothing, None, None, False, False, True),
        (in_thread, Doc, bytes, True, True, False),
        (only_task, None, int, True, False, True),
        (Service().method, Doc, int, True, True, True),
        (Service(), Doc, int, False, True, False),
        (functools.partial(partial_of, model="m"), Doc, str, False, True, False),
        (decorated, Doc, list[str], False, True, True),
    ],
)
def test_handlers_of_every_shape_are_understood(
    fn: Callable[..., Any], input_: Any, output: Any, takes_task: bool, takes_payload: bool, is_async: bool
) -> None:
    agent = define_agent(fn, name="given")
    assert (agent.input.type, agent.output.type) == (input_, output)
    assert (agent.takes_task, agent.takes_payload, agent.is_async) == (takes_task, takes_payload, is_async)
    assert agent.parameter == ("doc" if takes_payload else "")
    assert agent.fn is fn


def test_what_is_left_out_has_the_documented_default() -> None:
    agent = define_agent(plain)
    assert (agent.name, agent.version, agent.slots, agent.run) == ("plain", "1", 10, "auto")
    assert agent.description == "Reads a document.\n\nAt length."
    assert re.fullmatch(r"test_definitions\.py:\d+", agent.location)
    assert define_agent(in_thread, run="process").slots == os.cpu_count()


def test_a_workflow_takes_its_context_and_perhaps_an_input() -> None:
    async def review(ctx: Context, doc: Doc) -> str:
        return doc.name

    async def tick(ctx: Context) -> None: ...

    first, second = define_workflow(review), define_workflow(tick, version=2)
    assert (first.input.type, first.output.type, first.takes_input, first.version) == (Doc, str, True, 1)
    assert (second.input.type, second.takes_input, second.version) == (None, False, 2)
    assert first.fingerprint() == second.fingerprint() != ""


def test_an_annotation_that_only_checkers_can_import_is_known_by_its_name() -> None:
    async def review(ctx: OnlyForCheckers, doc: Doc) -> str:
        return doc.name

    review.__annotations__["ctx"] = "nervenet.Context"
    assert define_workflow(review).input.type is Doc


def test_classes_of_the_surrounding_function_are_found_when_their_names_are_given() -> None:
    @dataclass
    class Local:
        x: int

    async def handler(local: Local) -> Local:
        return local

    assert define_agent(handler, local=locals()).input.type is Local


async def two(found: str, declared: str) -> str:
    return ""


async def bare(doc) -> str:  # type: ignore[no-untyped-def]  # the point of the test
    return ""


async def no_answer(doc: Doc):  # type: ignore[no-untyped-def]  # the point of the test
    return ""


async def stream(doc: Doc) -> AsyncIterator[str]:
    yield ""


async def many(*docs: Doc) -> str:
    return ""


async def unknown(doc: Doc) -> str:
    return ""


unknown.__annotations__["doc"] = "Nowhere"


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (
            lambda: define_agent(two),
            "'two' has 2 payload parameters (found, declared): a task carries one. Make them one model or dataclass.",
        ),
        (lambda: define_agent(bare), "'bare': parameter 'doc' has no annotation"),
        (lambda: define_agent(no_answer), "'no_answer': its return type has no annotation"),
        (
            lambda: define_agent(stream),
            "'stream' is a generator: return one value, and send parts with task.emit",
        ),
        (lambda: define_agent(many), "'many' takes *docs"),
        (lambda: define_agent(partial_of), "keyword-only parameter 'model'"),
        (lambda: define_agent(unknown), "'Nowhere' is not defined. Import or define it above the function"),
        (lambda: define_agent(lambda: 1), "has no name: pass mesh.agent(name="),
        (lambda: define_agent(Agent.remote("x", str, str)), "takes a function, not <Agent x>"),  # type: ignore[arg-type]  # on purpose
        (lambda: define_agent(plain, name="a.b"), "agent 'a.b' is not a name"),
        (lambda: define_agent(plain, name="ask"), "the steps of ctx.ask have this name"),
        (lambda: define_agent(plain, slots=0), "slots is 0"),
        (lambda: define_agent(plain, run="process"), "is async def, which runs on the event loop"),
        (lambda: define_agent(Service(), name="s", run="process"), "a plain def at module level"),
        (lambda: define_agent(plain, lifespan=Service), "no Task parameter"),
        (lambda: define_workflow(plain), "its first parameter must be the Context"),
        (lambda: define_workflow(in_thread), "must be async def"),
        (lambda: define_workflow(plain, version=0), "version is 0"),
        (lambda: Signal("no good", int), "signal 'no good' is not a name"),
        (lambda: define_agent(plain)(Doc("a")), "agent 'plain' is not callable: calls go through the mesh"),  # type: ignore[operator]  # on purpose
        (lambda: Workflow.remote("w", str, str)("a"), "await client.run(w, …)"),  # type: ignore[operator]  # on purpose
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(attempt: Callable[[], object], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        attempt()


def test_what_is_served_elsewhere_needs_only_a_name_and_types() -> None:
    slow = CallOptions(timeouts=Timeouts(attempt=timedelta(hours=1)))
    extract = Agent.remote("extract", Doc, list[str] | None, options=slow)
    assert (extract.fn, extract.version, extract.options) == (None, "", slow)
    assert extract.input.encode(Doc("a")) == Payload("json", b'{"name":"a"}')
    tick = Agent.remote("tick", None, int, version="2")
    assert (tick.takes_payload, tick.version) == (False, "2")
    review = Workflow.remote("review", Doc, str)
    assert (review.version, review.fingerprint()) == (0, "")


def test_definitions_are_frozen_and_told_apart_by_identity() -> None:
    first, second = define_agent(plain), define_agent(plain)
    assert first != second
    assert len({first, second}) == 2
    with pytest.raises(AttributeError):
        first.name = "other"  # type: ignore[misc]  # the point of the test
