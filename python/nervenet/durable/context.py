# SPDX-License-Identifier: Apache-2.0
"""What workflow code asks of the world: the first parameter of every workflow.

    @mesh.workflow
    async def review(ctx: Context, doc: Doc) -> Summary:
        facts = await ctx.call(extract, doc)
        say = await ctx.ask("Release?", choices=["yes", "no"], deadline=timedelta(days=7), default="no")
        ...

A call is written down where it is made: its input is encoded (later mutation is not seen) and its line remembered;
it becomes a step, with a name and a number, when it is first awaited.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import random
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, overload

from typing_extensions import ParamSpec, TypeForm, TypeVar

from nervenet.definitions import Agent, ContextBase, Signal, Target, Workflow
from nervenet.durable.children import ChildRun, OutgoingSignal
from nervenet.durable.commands import ContinueRun
from nervenet.durable.lines import Site
from nervenet.durable.pending import Pending
from nervenet.errors import CallFailed, CallTimedOut
from nervenet.options import (
    CallOptions,
    ResolvedStart,
    StartOptions,
    check_name,
    refuse_unknown,
    resolve,
    resolve_start,
)
from nervenet.payloads import ANY, Codec, InvalidPayload, PayloadTooLarge, check_size, format_size
from nervenet.records import NOTHING, Failure, FailureCode, Outcome, Question
from nervenet.schemas import malformed

if TYPE_CHECKING:
    from nervenet.durable.fold import Fold
    from nervenet.durable.machine import Machine

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # input and output, as everywhere in the signatures
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

VIEW_LIMIT = 64 << 10
_TEXT: Codec[str] = Codec.of(str)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What a human said. `expired`: nobody did in time, and `value` is the default (resolver `deadline`)."""

    value: T_co
    resolver: str = ""
    comment: str = ""
    expired: bool = False


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that models took, in all and by model."""

    input_tokens: int = 0
    output_tokens: int = 0
    by_model: Mapping[str, TokenUsage] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


class Child(Generic[T_co]):
    """A child workflow that runs: talk to it, wait for it, or do neither."""

    def __init__(self, context: Context, run: ChildRun) -> None:
        self._context = context
        self._run = run

    def __repr__(self) -> str:
        return f"<Child {self.id}>"

    @property
    def id(self) -> str:
        """Its workflow id."""
        return self._run.id

    async def result(self) -> T_co:
        """Wait for its end; CallFailed when it failed or was canceled. To give up waiting is not to cancel it."""
        value: T_co = _value(self._run, await asyncio.shield(self._run.ended))
        return value

    @overload
    async def signal(self, signal: Target[[None], None], /, *, undeclared: bool = ...) -> None: ...
    @overload
    async def signal(self, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def signal(self, signal: Target[[T], None], value: T, /, *, undeclared: bool) -> None: ...
    def signal(self, signal: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Send it a signal; CallFailed when it has closed, or its code does not receive such a signal."""
        return self._context._send(sys._getframe(1), self.id, signal, *args, **kwargs)

    async def cancel(self) -> None:
        """Ask it to stop; its result tells when it has."""
        self._context._fold.cancel_child(self._run)


class ContinueAsNew(BaseException):
    """How `ctx.continue_as_new` leaves the code; not an Exception, so that `except Exception` lets it pass."""

    def __init__(self, run: ContinueRun) -> None:
        super().__init__(f"the next run is {run.definition}")
        self.run = run


class Context(ContextBase):
    """The workflow's door to the world. Everything it gives is the same on every replay."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._fold = machine._fold
        self._random: random.Random | None = None
        self._uuids = 0

    def __repr__(self) -> str:
        return f"<Context of {self.workflow_id}>"

    # ── who and when ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def workflow_id(self) -> str:
        return self._fold.workflow_id

    @property
    def run(self) -> int:
        """1, 2, …: which life of the workflow id this is."""
        return self._fold.run

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that the workflow was started with."""
        return MappingProxyType(self._fold.labels)

    @property
    def entries(self) -> int:
        """Entries in the journal so far."""
        return self._fold.entries

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all steps so far, failed attempts included."""
        items = self._fold.usage
        models = {model: TokenUsage(item.input_tokens, item.output_tokens) for model, item in items.items()}
        totals = models.values()
        return TokenUsage(sum(u.input_tokens for u in totals), sum(u.output_tokens for u in totals), models)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that is silent in replay: each line is said once."""
        return _Log(self._machine)

    @property
    def random(self) -> random.Random:
        """Chance that replays: seeded when the workflow was started."""
        if self._random is None:
            self._random = random.Random(self._fold.seed)
        return self._random

    def uuid(self) -> uuid.UUID:
        """A version 4 UUID that replays."""
        self._uuids += 1
        digest = hashlib.blake2b(self._uuids.to_bytes(8, "big"), key=self._fold.seed, digest_size=16).digest()
        return uuid.UUID(bytes=digest, version=4)

    def now(self) -> datetime:
        """The time of the last journal entry, in UTC; it stands still while the code runs."""
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self._fold.now_ms)

    async def sleep_until(self, when: datetime, /) -> None:
        """Sleep until a moment (aware datetime), however long that is; at once if it has passed."""
        due_ms = _epoch_ms(when, "sleep_until")
        await asyncio.sleep(max(0, due_ms - self._fold.now_ms) / 1000)

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    # `async def` here only: with `-> Coroutine[…]` mypy makes gather(ctx.call(a, …), ctx.call(b)) an Any.
    async def call(self, target: Target[[None], O], /, *, options: CallOptions | None = None) -> O: ...
    @overload
    async def call(self, target: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> O: ...
    @overload
    async def call(self, target: Target[[I], O], input: I, /, *, options: CallOptions) -> O: ...
    @overload
    async def call(self, target: str, input: object = None, /, *, options: CallOptions | None = None) -> Any: ...
    def call(self, target: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call an agent, durably: `await ctx.call(greet, "Ada")`. By name (a str) it takes and gives plain JSON.

        A workflow is called the same way, as a child: `timeouts.total` bounds it, and it is not retried as a whole.
        Raises CallFailed when the step failed for good, CallTimedOut when its time ran out.
        """
        return self._calling(sys._getframe(1), target, *args, **kwargs)

    def _calling(
        self,
        frame: FrameType,
        target: Any,
        input: Any = None,
        /,
        *too_many: object,
        options: CallOptions | None = None,
        **unknown: object,
    ) -> Coroutine[Any, Any, Any]:
        if too_many or unknown:
            _refuse(target, too_many, unknown)
        if not isinstance(target, Workflow):
            return self._outcome(self._prepare(frame, target, input, options=options))
        resolved = resolve(self._machine.workflow.defaults, options)
        start = resolve_start(target.options)
        if resolved.labels:
            start = replace(start, labels=resolved.labels)
        if resolved.total_ms is not None:
            start = replace(start, timeout_ms=resolved.total_ms)
        child = self._child(Site(frame.f_code, frame.f_lineno), target, input, start, "")
        return self._child_outcome(child, resolved.step or target.name, resolved.on_cancel)

    async def map(
        self,
        target: Target[[I], O],
        inputs: Iterable[I],
        /,
        *,
        concurrency: int = 50,
        options: CallOptions | None = None,
    ) -> list[O]:
        """One call per input, at most `concurrency` at a time; results in input order. The first failure cancels the
        rest and is raised."""
        items = list(inputs)
        results: list[Any] = [None] * len(items)
        frame = sys._getframe(0)

        async def keep(index: int) -> None:
            results[index] = await self._calling(frame, target, items[index], options=options)

        await bounded(keep, len(items), concurrency)
        return results

    async def map_settled(
        self,
        target: Target[[I], O],
        inputs: Iterable[I],
        /,
        *,
        concurrency: int = 50,
        options: CallOptions | None = None,
    ) -> list[O | CallFailed]:
        """Like `map`, but a failed call is a CallFailed in the list, and the rest goes on."""
        items = list(inputs)
        results: list[Any] = [None] * len(items)
        frame = sys._getframe(0)

        async def keep(index: int) -> None:
            try:
                results[index] = await self._calling(frame, target, items[index], options=options)
            except CallFailed as failed:
                results[index] = failed

        await bounded(keep, len(items), concurrency)
        return results

    async def as_completed(self, coros: Iterable[Coroutine[Any, Any, O]], /) -> AsyncIterator[O]:
        """The results of coroutines in the order in which they come; started in the order given."""
        done: asyncio.Queue[asyncio.Task[O]] = asyncio.Queue()
        tasks = [asyncio.create_task(coro) for coro in coros]
        for task in tasks:
            task.add_done_callback(done.put_nowait)
        try:
            for _ in tasks:
                yield (await done.get()).result()
        finally:
            for task in tasks:
                task.cancel()

    def _prepare(
        self, frame: FrameType, target: Any, input: Any = None, /, *, options: CallOptions | None = None
    ) -> Pending:
        defaults = self._machine.workflow.defaults
        version = None
        codec, output = ANY, ANY
        if isinstance(target, Agent):
            name, codec, output = target.name, target.input, target.output
            resolved = resolve(defaults, target.options, options)
            if target.fn is None:  # code at hand moves with its agents; a remote version was asked for
                version = target.version or None
        elif isinstance(target, str):
            name = check_name(target, "agent")
            resolved = resolve(defaults, options)
        else:
            raise TypeError(f"ctx.call takes an agent, the name of one, or a workflow, not {target!r}")
        payload = NOTHING if input is None and codec is ANY else codec.encode(input)
        if payload.size > self._machine.payload_limit:
            check_size(payload, self._machine.payload_limit, f"{name}: input")
        return Pending("call", name, output, Site(frame.f_code, frame.f_lineno), payload, resolved, version)

    async def _outcome(self, call: Pending) -> Any:
        """Make the call a step, wait for its outcome, and give its value or raise its failure."""
        fold = self._fold if self._fold.loop.is_alive() else await self._dropped()
        fold.issue(call)
        try:
            outcome = await call.future
        except asyncio.CancelledError:
            if fold.give_up(call, call.options.on_cancel) and call.options.on_cancel == "wait":
                call.future = asyncio.Future(loop=fold.loop)
                await call.future
            raise
        return _value(call, outcome)

    async def _dropped(self) -> Fold:
        """The clean-up of a workflow that is being dropped waits here, and ends here. Were this to raise at once, code
        that catches everything and tries again would do so for ever."""
        loop = self._fold.loop
        if loop.is_closed():
            await loop.create_future()
        raise GeneratorExit

    # ── other workflows ──────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    async def start(
        self, workflow: Target[[None], O], /, *, id: str | None = None, options: StartOptions | None = None
    ) -> Child[O]: ...
    @overload
    async def start(self, workflow: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> Child[O]: ...
    @overload
    async def start(
        self, workflow: Target[[I], O], input: I, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> Child[O]: ...
    def start(self, workflow: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Child[Any]]:
        """Start a child and go on: `child = await ctx.start(audit, "httpx")`.

        Its id is `<this workflow's id>/<step>` unless given. It is canceled when this run closes, unless its options
        say `abandon_children=True`. Raises CallFailed when it cannot be started (the id is taken, nobody has its code).
        """
        return self._starting(sys._getframe(1), workflow, *args, **kwargs)

    def _starting(
        self,
        frame: FrameType,
        workflow: Any,
        input: Any = None,
        /,
        *,
        id: str | None = None,
        options: StartOptions | None = None,
    ) -> Coroutine[Any, Any, Child[Any]]:
        if not isinstance(workflow, Workflow):
            raise TypeError(f"ctx.start takes a workflow, not {workflow!r}; an agent is called: await ctx.call(…)")
        site = Site(frame.f_code, frame.f_lineno)
        child = self._child(site, workflow, input, resolve_start(workflow.options, options), id or "")
        return self._started(child, workflow.name)

    def _child(self, site: Site, workflow: Workflow[Any, Any], input: Any, options: ResolvedStart, id: str) -> ChildRun:
        payload = workflow.input.encode(input) if workflow.takes_input else NOTHING
        check_size(payload, self._machine.payload_limit, f"{workflow.name}: input")
        version = 0 if workflow.fn is not None else workflow.version  # code at hand: the highest that is live
        return ChildRun(workflow.name, version, workflow.output, site, payload, options, id)

    async def _started(self, child: ChildRun, base: str) -> Child[Any]:
        fold = self._fold if self._fold.loop.is_alive() else await self._dropped()
        fold.start_child(child, base)
        try:
            failure = await child.started
        except asyncio.CancelledError:
            fold.cancel_child(child)
            raise
        if failure is not None:
            raise CallFailed(failure, child.step)
        return Child(self, child)

    async def _child_outcome(self, child: ChildRun, base: str, on_cancel: str) -> Any:
        fold = self._fold if self._fold.loop.is_alive() else await self._dropped()
        fold.start_child(child, base)
        try:
            outcome = await asyncio.shield(child.ended)
        except asyncio.CancelledError:
            if on_cancel != "leave" and fold.cancel_child(child) and on_cancel == "wait":
                await asyncio.shield(child.ended)
            raise
        return _value(child, outcome)

    @overload
    async def signal(self, workflow_id: str, signal: Target[[None], None], /, *, undeclared: bool = ...) -> None: ...
    @overload
    async def signal(self, workflow_id: str, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def signal(self, workflow_id: str, signal: Target[[T], None], value: T, /, *, undeclared: bool) -> None: ...
    def signal(self, workflow_id: str, signal: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Send a signal to another workflow, once, however often this code is replayed.

        Raises CallFailed: `is_a("NotFound")` or `is_a("AlreadyClosed")` when there is nobody to take it,
        `is_a("InvalidRequest")` when that workflow's code receives no signal of this name (`undeclared=True` sends it
        all the same) or of another type.
        """
        return self._send(sys._getframe(1), workflow_id, signal, *args, **kwargs)

    def _send(
        self, frame: FrameType, workflow_id: str, signal: Any, input: Any = None, /, *, undeclared: bool = False
    ) -> Coroutine[Any, Any, None]:
        if not isinstance(signal, Signal):
            raise TypeError(f"ctx.signal takes a Signal, not {signal!r}")
        payload = signal.input.encode(input)
        check_size(payload, self._machine.payload_limit, f"{signal.name}: payload")
        site = Site(frame.f_code, frame.f_lineno)
        return self._sent(OutgoingSignal(workflow_id, signal.name, payload, site, undeclared=undeclared))

    async def _sent(self, sending: OutgoingSignal) -> None:
        fold = self._fold if self._fold.loop.is_alive() else await self._dropped()
        fold.send(sending)
        try:
            failure = await sending.gone
        except asyncio.CancelledError:
            fold.unsend(sending)
            raise
        if failure is not None:
            raise CallFailed(failure, sending.step)

    # ── messages and people ──────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self, signal: Signal[T], /) -> T:
        """The oldest unread message of this signal, whether it came before or comes later."""
        if not isinstance(signal, Signal):
            raise TypeError(f'ctx.receive takes a Signal, not {signal!r}: approve = Signal("approve", Approval)')
        future = self._fold.listen(signal.name)
        try:
            payload = await future
        except asyncio.CancelledError:
            self._fold.unlisten(signal.name, future)
            raise
        value: T = signal.input.decode(payload, signal.name)
        return value

    def patched(self, change: str, /) -> bool:
        """Whether to go the changed way: `if ctx.patched("translate-first"): …` around new code.

        True for runs that had not passed this point when the change was deployed (recorded as `patch:<change>`), false
        for older ones; one answer per run, loops included. Keep it until no earlier run is open.
        """
        return self._fold.patched(check_name(change, "change", step=False))

    @overload
    def continue_as_new(self, workflow: Target[[None], Any], /) -> NoReturn: ...
    @overload
    def continue_as_new(self, workflow: Target[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> NoReturn: ...
    def continue_as_new(self, workflow: Any, /, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run and begin the next one of the same id with a fresh journal; does not return.

        Signals that nobody has read go along. What still runs for this run is given up, children are canceled unless
        they were started with `abandon_children`. Call it from the workflow's own coroutine, not from a task of it.
        """
        if not isinstance(workflow, Workflow):
            raise TypeError(f"ctx.continue_as_new takes a workflow, not {workflow!r}")
        payload = workflow.input.encode(args[0] if args else None) if workflow.takes_input else NOTHING
        check_size(payload, self._machine.payload_limit, f"{workflow.name}: input")
        version = 0 if workflow.fn is not None else workflow.version
        raise ContinueAsNew(ContinueRun(workflow.name, version, payload))

    def publish(self, view: object, /) -> None:
        """Show watchers a value (plain JSON, at most 64 KiB; bytes as base64); the last one counts, also after the
        end."""
        payload = ANY.encode(view)
        if payload.form == "bytes":
            payload = ANY.encode(base64.b64encode(payload.data).decode())
        if payload.size > VIEW_LIMIT:
            raise PayloadTooLarge(
                f"publish: the view is {format_size(payload.size)}, limit {format_size(VIEW_LIMIT)}; publish a summary."
            )
        self._machine.show(payload)

    @overload
    def ask(
        self,
        question: str,
        *,
        choices: Sequence[str],
        context: object = None,
        deadline: timedelta | datetime | None = None,
        default: str | None = None,
        assignee: str | None = None,
    ) -> Coroutine[Any, Any, Answer[str]]: ...
    @overload
    def ask(
        self,
        question: str,
        *,
        answer: TypeForm[T],
        context: object = None,
        deadline: timedelta | datetime | None = None,
        default: T | None = None,
        assignee: str | None = None,
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    def ask(
        self,
        question: str,
        *,
        choices: Sequence[str] = (),
        answer: Any = None,
        context: object = None,
        deadline: timedelta | datetime | None = None,
        default: Any = None,
        assignee: str | None = None,
    ) -> Coroutine[Any, Any, Answer[Any]]:
        """Ask a human: one of `choices`, or a value of the type `answer`. `default` stands when `deadline` passes;
        without one that raises CallTimedOut."""
        if bool(choices) == (answer is not None):
            raise TypeError("ctx.ask takes either choices or answer=, the type of the answer")
        if choices and default is not None and default not in choices:
            raise ValueError(f"ctx.ask: the default {default!r} is not one of the choices {list(choices)!r}")
        codec = Codec.of(answer) if answer is not None else _TEXT
        schema = codec.schema() if answer is not None else b""
        if wrong := malformed(schema):
            raise TypeError(f"ctx.ask: the JSON Schema of the answer is none: {wrong}")
        frame = sys._getframe(1)
        asked = Question(
            question,
            "workflow",
            choices=tuple(choices),
            context=NOTHING if context is None else ANY.encode(context),
            schema=schema,
            default=None if default is None else codec.encode(default),
            deadline_ms=self._deadline_ms(deadline),
            assignee=assignee or "",
        )
        return self._answer(Pending("ask", "", codec, Site(frame.f_code, frame.f_lineno), question=asked))

    async def _answer(self, call: Pending) -> Answer[Any]:
        value = await self._outcome(call)
        decided = call.decided
        if decided is None:
            return Answer(value)
        return Answer(value, decided.resolver, decided.comment, decided.action == "EXPIRED")

    def _deadline_ms(self, deadline: timedelta | datetime | None) -> int | None:
        if deadline is None:
            return None
        if isinstance(deadline, timedelta):
            return self._fold.now_ms + deadline // timedelta(milliseconds=1)
        return _epoch_ms(deadline, "deadline")


class _Log(logging.LoggerAdapter[logging.Logger]):
    """Sends what the workflow says to its machine, which knows whether it has been said before."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(logging.getLogger(f"nervenet.workflow.{machine.workflow.name}"), {})
        self._machine = machine

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        error = sys.exc_info()[1] if kwargs.get("exc_info") is True else kwargs.get("exc_info")
        words = str(msg) % args if args else str(msg)
        self._machine.say(level, f"{words}: {error!r}" if isinstance(error, BaseException) else words)


async def bounded(work: Callable[[int], Coroutine[Any, Any, None]], count: int, concurrency: int) -> None:
    """Run `work(0)` … `work(count - 1)`, a limited number at a time, in order. The first error cancels the others."""
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}: at least 1")
    todo = iter(range(count))

    async def worker() -> None:
        for index in todo:
            await work(index)

    workers = [asyncio.create_task(worker()) for _ in range(min(concurrency, count))]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise


def _value(call: Pending | ChildRun, outcome: Outcome) -> Any:
    """The value of a step, or its failure raised."""
    failure = outcome.failure
    if failure is None:
        return _decoded(call, outcome)
    raise (CallTimedOut if failure.code is FailureCode.TIMEOUT else CallFailed)(failure, call.step)


def _refuse(target: Any, too_many: tuple[object, ...], unknown: Mapping[str, object]) -> None:
    name = getattr(target, "name", target)
    if too_many:
        raise TypeError(f"{name} takes one value, got {len(too_many) + 1}: make them one model or dataclass")
    if not isinstance(target, str) and target.parameter in unknown:
        raise TypeError(f"ctx.call takes the input of {name} by its place: ctx.call({name}, …)")
    refuse_unknown("ctx.call", unknown, ("options",))


def _decoded(call: Pending | ChildRun, outcome: Outcome) -> Any:
    try:
        return call.output.decode(outcome.output or NOTHING)
    except InvalidPayload as error:
        words = f"the result of {call.step} does not fit: {error}"
        failure = Failure(FailureCode.INVALID_INPUT, words, "InvalidPayload", source=call.step, retryable=False)
        raise CallFailed(failure, call.step) from None


def _epoch_ms(when: datetime, what: str) -> int:
    if not isinstance(when, datetime):
        raise TypeError(f"{what}: {when!r} is not a time: give an aware datetime (a deadline may be a timedelta)")
    if when.tzinfo is None:
        raise ValueError(f"{what}: {when!r} has no time zone; use an aware datetime, e.g. datetime(…, tzinfo=UTC)")
    return (when - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
