# SPDX-License-Identifier: Apache-2.0
"""Workflows as data, run by the same machine as code: the interpreter is a workflow function.

    flow = workflow_of(declaration)          # a Workflow like any other: Machine(flow, "audit-httpx")

It uses the same context, so journals, retries, BLOCKED, cancel and watchers are the same as with code. Two things
differ. A replay needs the same version of the language (`LANGUAGE`), not the same minor version of Python: the
interpreter only has tasks that start in order, and one queue, whose order is the same in all versions (that of
`gather(wait_for(…))` is not). And the input of a step is written in one canonical form, with sorted keys, so that its
digest is the same on each node.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from nervenet.declarations import (
    ALWAYS,
    AskAction,
    CallAction,
    ChildAction,
    ComputeAction,
    Declaration,
    DeclaredStep,
    SleepAction,
    language_of,
)
from nervenet.definitions import Workflow
from nervenet.durable.context import Context, bounded
from nervenet.durable.lines import Site
from nervenet.durable.pending import Pending
from nervenet.errors import CallFailed
from nervenet.expressions import Expression, ExpressionFailed
from nervenet.options import Resolved, StartOptions, resolve, resolve_start
from nervenet.payloads import ANY, check_size
from nervenet.records import NOTHING, Payload, Question

LANGUAGE: Final = "declared-1"
"""The version of the language. It changes if a definition would start other steps, or in another order."""

DEFAULT_CONCURRENCY: Final = 10


def workflow_of(declaration: Declaration) -> Workflow[Any, Any]:
    """The workflow of a checked declaration. Raises BadExpression for one that was not checked."""
    plan = _CompiledDeclaration(declaration)

    async def declared(ctx: Context, input: Any) -> Any:
        return await _Interpretation(plan, ctx, input).run()

    timeout_ms = declaration.timeout_ms
    return Workflow(
        declaration.name,
        ANY,
        ANY,
        version=declaration.version,
        options=StartOptions(timeout=None if timeout_ms is None else timedelta(milliseconds=timeout_ms)),
        defaults=declaration.options,
        fn=declared,
        parameter="input",
        description=declaration.description,
        location=f"{declaration.name} v{declaration.version}",
        runtime=LANGUAGE,
        retention=None if declaration.retention_ms is None else timedelta(milliseconds=declaration.retention_ms),
        _fingerprint=hashlib.blake2b(repr(declaration).encode(), digest_size=8).hexdigest(),
    )


class _CompiledDeclaration:
    """A declaration with compiled expressions and resolved options. Made once, shared by all runs."""

    def __init__(self, declaration: Declaration) -> None:
        language = language_of(declaration)
        self.output = language.compile(declaration.output) if declaration.output else None
        self.steps = tuple(_CompiledStep(i, step, declaration, language) for i, step in enumerate(declaration.steps))


class _CompiledStep:
    """One step, ready to run."""

    def __init__(self, index: int, step: DeclaredStep, declaration: Declaration, language: Any) -> None:
        def compiled(path: str, text: str) -> _LocatedExpression | None:
            return _LocatedExpression(f"steps[{index}].{path}", language.compile(text)) if text else None

        self.name = step.name
        self.site = Site(f"steps[{index}] {step.name!r}")
        self.depends_on = step.depends_on
        self.action = action = step.action
        self.options = replace(resolve(declaration.options, step.options), step=step.name)
        self.concurrency = step.for_each.concurrency or DEFAULT_CONCURRENCY if step.for_each is not None else 0
        self.condition = compiled("condition", step.condition)
        self.items = compiled("for_each.items", step.for_each.items) if step.for_each is not None else None
        self.publish = compiled("publish", step.publish)
        self.recover = compiled("recover", step.recover)
        self.sticky_key = compiled("selection.sticky_key", self.options.sticky_key or "")
        self.input = self.question = self.context = self.value = None
        match action:
            case CallAction(_, input):
                self.input = compiled("call.input", input)
            case ChildAction(_, _, input):
                self.input = compiled("workflow.input", input)
            case AskAction():
                self.question = compiled("ask.question", action.question)
                self.context = compiled("ask.context", action.context)
            case ComputeAction(value):
                self.value = compiled("value", value)


class _LocatedExpression:
    """An expression and its path, for error messages."""

    def __init__(self, path: str, expression: Expression) -> None:
        self._path = path
        self._expression = expression

    def __call__(self, values: Mapping[str, Any]) -> Any:
        try:
            return self._expression(values)
        except ExpressionFailed as error:
            raise ExpressionFailed(f"{self._path}: {error}") from None

    def must(self, kind: type, words: str, values: Mapping[str, Any]) -> Any:
        """Its value, whose type can only be checked with the values."""
        value = self(values)
        if not isinstance(value, kind):
            raise ExpressionFailed(f"{self._path}: gives {_shown(value)}, {words} is needed")
        return value


class _Interpretation:
    """One run."""

    def __init__(self, plan: _CompiledDeclaration, ctx: Context, input: Any) -> None:
        self._plan = plan
        self._ctx = ctx
        about = {"id": ctx.workflow_id, "run": ctx.run, "labels": dict(ctx.labels)}
        self._values: dict[str, Any] = dict(zip(ALWAYS, (input, about), strict=True))

    async def run(self) -> Any:
        """Run each step as soon as the steps that it depends on have ended. The first failure ends the others and the
        run."""
        waiting = {step.name: set(step.depends_on) for step in self._plan.steps}
        begun: list[asyncio.Task[str]] = []
        over: asyncio.Queue[asyncio.Task[str]] = asyncio.Queue()

        def begin() -> None:
            for step in self._plan.steps:
                if step.name in waiting and not waiting[step.name]:
                    del waiting[step.name]
                    task = asyncio.create_task(self._step(step))
                    task.add_done_callback(over.put_nowait)
                    begun.append(task)

        try:
            begin()
            for _ in self._plan.steps:
                name = (await over.get()).result()
                for left in waiting.values():
                    left.discard(name)
                begin()
        except BaseException:
            for task in begun:
                task.cancel()
            for task in begun:
                await _ended(task)
            raise
        return None if self._plan.output is None else _LocatedExpression("output", self._plan.output)(self._values)

    async def _step(self, step: _CompiledStep) -> str:
        self._values[f"steps.{step.name}"] = await self._value(step)
        return step.name

    async def _value(self, step: _CompiledStep) -> Any:
        values = self._values
        if step.condition is not None and not step.condition.must(bool, "true or false", values):
            return None
        if step.publish is not None:
            self._ctx.publish(step.publish(values))
        if step.value is not None:
            return step.value(values)
        if isinstance(step.action, SleepAction):
            return await asyncio.sleep(step.action.span_ms / 1000)
        if step.items is None:
            return await self._once(step, values)
        items = step.items.must(list, "a list", values)
        results: list[Any] = [None] * len(items)

        async def one(index: int) -> None:
            results[index] = await self._once(step, {**values, "item": items[index], "index": index})

        await bounded(one, len(items), step.concurrency)
        return results

    async def _once(self, step: _CompiledStep, values: Mapping[str, Any]) -> Any:
        """Run the step, or its part for one element. After a failure `recover` gives the value."""
        try:
            return await self._done(step, values)
        except CallFailed as failed:
            if step.recover is None:
                raise
            return step.recover({**values, "error": _error(failed)})

    async def _done(self, step: _CompiledStep, values: Mapping[str, Any]) -> Any:
        match step.action:
            case CallAction(capability):
                plain = self._payload(step.input, values, f"{step.name}: input")
                codecs = self._ctx._machine.codecs
                digests = codecs.digests(plain, self._ctx._fold.seed)
                given, options = codecs.encode(plain), _options(step, values)
                call = Pending("call", capability, ANY, step.site, given, options, digests=digests)
                return await self._ctx._outcome(call)
            case ChildAction(definition, version):
                return await self._child(step, definition, version, values)
            case AskAction():
                return await self._ask(step, step.action, values)
        raise AssertionError(f"{step.name}: {step.action!r}")  # `check` refuses any other

    async def _child(self, step: _CompiledStep, definition: str, version: int, values: Mapping[str, Any]) -> Any:
        given = None if step.input is None else step.input(values)
        flow: Workflow[Any, Any] = Workflow(definition, ANY, ANY, version=version, takes_input=step.input is not None)
        child = self._ctx._child(step.site, flow, given, resolve_start(), "")
        return await self._ctx._child_outcome(child, step.name, step.options.on_cancel)

    async def _ask(self, step: _CompiledStep, ask: AskAction, values: Mapping[str, Any]) -> dict[str, Any]:
        assert step.question is not None
        question = Question(
            step.question.must(str, "a text", values),
            "workflow",
            choices=ask.choices,
            context=self._payload(step.context, values, f"{step.name}: context"),
            schema=b"" if ask.schema is None else _canonical(ask.schema),
            default=None if ask.default is None else Payload("json", _canonical(ask.default[0])),
            deadline_ms=self._ctx._deadline_ms(_span(ask.deadline_ms)),
            assignee=ask.assignee,
        )
        question = self._ctx._machine.codecs.encode_question(question)
        answer = await self._ctx._answer(Pending("ask", "", ANY, step.site, options=step.options, question=question))
        return {
            "value": answer.value,
            "resolver": answer.resolver,
            "comment": answer.comment,
            "expired": answer.expired,
        }

    def _payload(self, given: _LocatedExpression | None, values: Mapping[str, Any], what: str) -> Payload:
        if given is None:
            return NOTHING
        value = given(values)
        payload = Payload("bytes", value) if isinstance(value, bytes) else Payload("json", _canonical(value))
        check_size(payload, self._ctx._machine.payload_limit, what)
        return payload


def _options(step: _CompiledStep, values: Mapping[str, Any]) -> Resolved:
    if step.sticky_key is None:
        return step.options
    return replace(step.options, sticky_key=step.sticky_key.must(str, "a text", values))


def _error(failed: CallFailed) -> dict[str, Any]:
    """The failure, as `recover` gets it."""
    failure = failed.failure
    return {
        "code": str(failure.code),
        "type": failure.type,
        "message": failure.message,
        "attempt": failure.attempt,
        "details": None if failure.details is None else ANY.decode(failure.details),
    }


async def _ended(task: asyncio.Task[str]) -> None:
    """Wait for the end of a step, in any way. Only the first failure counts."""
    try:
        await task
    except (Exception, asyncio.CancelledError):  # noqa: BLE001  # see above
        return


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _span(ms: int | None) -> timedelta | None:
    return None if ms is None else timedelta(milliseconds=ms)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:37] + "…"
