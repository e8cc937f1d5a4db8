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
from typing import TYPE_CHECKING, Any, Generic, NoReturn, final, overload

from typing_extensions import ParamSpec, TypeForm, TypeVar

from nervenet.definitions import Agent, Signal, Target, Workflow
from nervenet.durable.children import ChildRun, OutgoingSignal
from nervenet.durable.commands import ContinueRun
from nervenet.durable.lines import Site
from nervenet.durable.pending import Pending
from nervenet.durable.retry import AttemptTally
from nervenet.errors import CallFailed, CallTimedOut
from nervenet.options import (
    CallOptions,
    Resolved,
    ResolvedStart,
    StartOptions,
    check_name,
    refuse_unknown,
    resolve,
    resolve_start,
)
from nervenet.payloads import ANY, Codec, InvalidPayload, PayloadTooLarge, check_size, format_size
from nervenet.records import NOTHING, Failure, FailureCode, Outcome, Payload, Question
from nervenet.schemas import malformed
from nervenet.signatures import ContextBase

if TYPE_CHECKING:
    from nervenet.durable.fold import Fold
    from nervenet.durable.machine import Machine

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # input and output, as everywhere in the signatures
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

VIEW_LIMIT = 64 << 10
MOST_BYTES = 6
"""Of one ASCII character in JSON."""
LARGE = 1 << 63
"""A number below it is never above the limit of a payload."""
_TEXT: Codec[str] = Codec.of(str)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """The answer of a human to `ctx.ask`.

    Attributes:
        value: The answer, or the default of the question when nobody answered in time.
        resolver: Who answered. `"deadline"` when nobody did in time.
        comment: What they wrote about it.
        expired: Whether the deadline passed without an answer.
    """

    value: T_co
    resolver: str = ""
    comment: str = ""
    expired: bool = False


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that models used, as handlers reported them with `task.usage`.

    Attributes:
        input_tokens: Tokens in prompts.
        output_tokens: Tokens in answers.
        by_model: The same for each model, by its name.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    by_model: Mapping[str, TokenUsage] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


class Child(Generic[T_co]):
    """A running child workflow, from `ctx.start`. You can send it signals, wait for it, or do neither."""

    def __init__(self, context: Context, run: ChildRun) -> None:
        self._context = context
        self._run = run

    def __repr__(self) -> str:
        return f"<Child {self.id}>"

    @property
    def id(self) -> str:
        """Workflow id of the child."""
        return self._run.id

    async def result(self) -> T_co:
        """Wait for its end and return its result. Cancelling this wait does not cancel the child.

        Raises:
            CallFailed: The child failed or was canceled.
        """
        value: T_co = _value(self._run, await asyncio.shield(self._run.ended))
        return value

    @overload
    async def signal(self, signal: Target[[None], None], /, *, undeclared: bool = ...) -> None: ...
    @overload
    async def signal(self, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def signal(self, signal: Target[[T], None], value: T, /, *, undeclared: bool) -> None: ...
    def signal(self, signal: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Send it a signal, once, however often this code is replayed.

        Args:
            signal: The signal.
            value: What it carries.
            undeclared: Send it even if the child's code does not receive it, for code that is deployed later.

        Raises:
            CallFailed: The child has closed, or its code does not receive such a signal.
        """
        return self._context._send(sys._getframe(1), self.id, signal, *args, **kwargs)

    async def cancel(self) -> None:
        """Ask it to stop. `result` raises CallFailed when it has stopped."""
        self._context._fold.cancel_child(self._run)


class ContinueAsNewRequested(BaseException):
    """Leaves the workflow code when `ctx.continue_as_new` is called. Not an Exception, so `except Exception` lets it
    pass.
    """

    def __init__(self, run: ContinueRun) -> None:
        super().__init__(f"the next run is {run.definition}")
        self.run = run


class Context(ContextBase):
    """The first parameter of every workflow: calls, timers, signals, questions, time and chance.

    Everything that it returns is the same on every replay. Use it instead of `time.time()`, `random` and `uuid4()`.

        @mesh.workflow
        async def review(ctx: Context, doc: Doc) -> Summary:
            return await ctx.call(summarize, await ctx.call(extract, doc))
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._fold = machine._fold
        self._random: random.Random | None = None
        self._uuids = 0
        self._call_sites = machine.workflow._call_sites

    def __repr__(self) -> str:
        return f"<Context of {self.workflow_id}>"

    # ── who and when ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def workflow_id(self) -> str:
        """Id of this workflow."""
        return self._fold.workflow_id

    @property
    def run(self) -> int:
        """1, 2, …: which run of the workflow id this is. `continue_as_new` and restarts begin the next one."""
        return self._fold.run

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels with which the workflow was started."""
        return MappingProxyType(self._fold.labels)

    @property
    def entries(self) -> int:
        """Entries in the journal so far. The limit is the setting `journal_limit` (50,000 by default), see
        `continue_as_new`.
        """
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
        """A logger that is silent during replay, so each line is logged once."""
        return _Log(self._machine)

    @property
    def random(self) -> random.Random:
        """A `random.Random` whose seed was recorded when the workflow started."""
        if self._random is None:
            self._random = random.Random(self._fold.seed)
        return self._random

    def uuid(self) -> uuid.UUID:
        """A UUID of version 4 that is the same on every replay."""
        self._uuids += 1
        digest = hashlib.blake2b(self._uuids.to_bytes(8, "big"), key=self._fold.seed, digest_size=16).digest()
        return uuid.UUID(bytes=digest, version=4)

    def now(self) -> datetime:
        """The time of the last journal entry, in UTC. It does not change while the code runs between two awaits."""
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self._fold.now_ms)

    async def sleep_until(self, when: datetime, /) -> None:
        """Sleep until a moment, durably. `asyncio.sleep` is durable too, and takes seconds.

        Args:
            when: An aware datetime. A moment in the past returns at once.

        Raises:
            TypeError: It is no datetime.
            ValueError: It has no time zone.
        """
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
        """Call an agent or a child workflow, durably, and return its result: `await ctx.call(greet, "Ada")`.

        The call is retried by its RetryPolicy (five attempts by default). A child workflow is not retried as a whole;
        `timeouts.total` limits it. A coroutine that is made but not awaited starts nothing.

        Args:
            target: An agent, a workflow, or the name of an agent (then input and result are plain JSON).
            input: The input. It is encoded now: later changes of the object have no effect.
            options: Options of this call, stronger than those of the agent and the mesh.

        Raises:
            CallFailed: The step failed for good. Catch it, or the workflow fails.
            CallTimedOut: The step ran out of its time.
            InvalidPayload: The input does not fit the target's type.
            PayloadTooLarge: The input is above the setting `payload_limit` (1 MiB by default): pass a URI.
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
        """Only what must be done at once: thousands of calls may be made in one callback, and the node does nothing else meanwhile.
        What the calls of one line have in common is made once."""
        if too_many or unknown:
            _refuse(target, too_many, unknown)
        shared: _CallSite | None = self._call_sites.get(frame.f_lasti)
        if (
            shared is None
            or shared.target is not target
            or shared.given is not options
            or shared.site.code is not frame.f_code
        ):
            if isinstance(target, Workflow):
                return self._call_child(frame, target, input, options)
            shared = self._call_sites[frame.f_lasti] = self._call_site_of(frame, target, options)
        machine = self._machine
        kind = type(input)
        if (
            kind is shared.plain and not machine.codecs.on
        ):  # it cannot change: it is encoded when the call becomes a step
            if kind is str:
                if input.isascii() and MOST_BYTES * len(input) + 2 <= machine.payload_limit:
                    return self._outcome(shared, input)
            elif kind is not int or -LARGE < input < LARGE:
                return self._outcome(shared, input)
        return self._outcome(shared, *self._encoded(shared, input))

    def _encoded(self, shared: _CallSite, input: Any) -> tuple[Payload, Payload]:
        """The input before and after codecs."""
        machine = self._machine
        plain = NOTHING if input is None and shared.input is ANY else shared.input.encode(input)
        payload = machine.codecs.encode(plain) if machine.codecs.on else plain
        if len(payload.data) > machine.payload_limit:
            check_size(payload, machine.payload_limit, f"{shared.capability}: input")
        return plain, payload

    def _call_child(
        self, frame: FrameType, target: Workflow[Any, Any], input: Any, options: CallOptions | None
    ) -> Coroutine[Any, Any, Any]:
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
        """Call a target once for each input, several at the same time.

        Args:
            target: An agent or a workflow.
            inputs: The inputs.
            concurrency: Calls at the same time, at least 1.
            options: Options of each call.

        Returns:
            The results, in the order of the inputs.

        Raises:
            CallFailed: A call failed. The other calls are canceled. See `map_settled`.
            ValueError: `concurrency` is less than 1.
        """
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
        """Like `map`, but a call that fails does not stop the others.

        Args:
            target: An agent or a workflow.
            inputs: The inputs.
            concurrency: Calls at the same time, at least 1.
            options: Options of each call.

        Returns:
            A result or a CallFailed for each input, in the order of the inputs.
        """
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
        """The results of coroutines in the order in which they finish.

        Use it instead of `asyncio.as_completed`, which does not replay with coroutines.

        Args:
            coros: Coroutines, for example of `ctx.call`. They start in this order.
        """
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

    def _call_site_of(self, frame: FrameType, target: Any, options: CallOptions | None) -> _CallSite:
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
            raise TypeError(f"ctx.call takes an agent, an agent's name or a workflow, not {target!r}")
        return _CallSite(
            target,
            options,
            Site(frame.f_code, frame.f_lineno),
            name,
            codec,
            output,
            resolved,
            version,
            codec.plain,
            AttemptTally(resolved.max_attempts),
        )

    async def _outcome(self, call: Pending | _CallSite, plain: Any = NOTHING, payload: Payload | None = None) -> Any:
        """Make the call a step, wait for its outcome, and give its value or raise its failure.

        Args:
            call: The step; or what its calls have in common, then the input is given too.
            plain: The input before codecs. Without `payload`: the input as the code gave it.
            payload: The input.
        """
        if type(call) is _CallSite:
            call = self._pending(call, plain, payload)
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

    def _pending(self, shared: _CallSite, plain: Any, payload: Payload | None) -> Pending:
        if payload is None:
            plain, payload = self._encoded(shared, plain)
        return Pending(
            "call",
            shared.capability,
            shared.output,
            shared.site,
            payload,
            shared.options,
            shared.version,
            digests=self._machine.codecs.digests(plain, self._fold.seed),
            tally=shared.tally,
        )

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
        """Start a child workflow and continue without waiting for it: `child = await ctx.start(audit, "httpx")`.

        The child is canceled when this run closes, unless `StartOptions(abandon_children=True)`.

        Args:
            workflow: The workflow.
            input: Its input.
            id: Its workflow id. Default: `<id of this workflow>/<step>`.
            options: How it is started.

        Returns:
            The child.

        Raises:
            CallFailed: It cannot be started: the id is taken, or no live node has its code.
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
        plain = workflow.input.encode(input) if workflow.takes_input else NOTHING
        codecs = self._machine.codecs
        payload = codecs.encode(plain, codecs.fingerprint(plain, self._fold.seed.hex()))
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

        Args:
            workflow_id: The workflow that receives it.
            signal: The signal.
            value: What it carries.
            undeclared: Send it even if that workflow's code does not receive it, for code that is deployed later.

        Raises:
            CallFailed: `is_a("NotFound")`: there is no such workflow. `is_a("AlreadyClosed")`: it has ended.
                `is_a("InvalidRequest")`: its code receives no such signal, or one of another type.
        """
        return self._send(sys._getframe(1), workflow_id, signal, *args, **kwargs)

    def _send(
        self, frame: FrameType, workflow_id: str, signal: Any, input: Any = None, /, *, undeclared: bool = False
    ) -> Coroutine[Any, Any, None]:
        if not isinstance(signal, Signal):
            raise TypeError(f"ctx.signal takes a Signal, not {signal!r}")
        payload = self._machine.codecs.encode(signal.input.encode(input))
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
        """Wait for a signal and return its value: the oldest unread one, whether it arrived before or arrives later.

            async with asyncio.timeout(3600):
                approval = await ctx.receive(approve)

        Args:
            signal: The signal to wait for.

        Raises:
            InvalidPayload: The value that was sent does not fit the signal's type.
        """
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
        """Whether to take the new branch of changed code: `if ctx.patched("translate-first"): …`.

        True for runs that had not passed this point when the change was deployed, False for older runs. One run always
        gets the same answer, which is recorded as `patch:<change>`. Keep it until every older run has ended.

        Args:
            change: Name of the change. Letters, digits, `_` and `-`, a letter first, at most 63 characters.
        """
        return self._fold.patched(check_name(change, "change", step=False))

    @overload
    def continue_as_new(self, workflow: Target[[None], Any], /) -> NoReturn: ...
    @overload
    def continue_as_new(self, workflow: Target[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> NoReturn: ...
    def continue_as_new(self, workflow: Any, /, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run and begin the next one of the same workflow id, with an empty journal. It does not return.

        Use it in workflows that run for months, before the journal is full. Unread signals move to the next run. Calls
        that still run are canceled, and so are children that were started without `abandon_children`. Call it from the
        workflow's own coroutine, not from a task that it created.

        Args:
            workflow: The workflow of the next run, usually this one.
            args: The input of the next run, one value or none.

        Raises:
            PayloadTooLarge: The input is above the setting `payload_limit`.
        """
        if not isinstance(workflow, Workflow):
            raise TypeError(f"ctx.continue_as_new takes a workflow, not {workflow!r}")
        plain = workflow.input.encode(args[0] if args else None) if workflow.takes_input else NOTHING
        payload = self._machine.codecs.encode(plain)
        check_size(payload, self._machine.payload_limit, f"{workflow.name}: input")
        version = 0 if workflow.fn is not None else workflow.version
        raise ContinueAsNewRequested(ContinueRun(workflow.name, version, payload))

    def publish(self, view: object, /) -> None:
        """Show a value to watchers: in `info().view` and `nervenet show`. Each call replaces the last value.

        The value is visible after the end too. It is not an entry in the journal.

        Args:
            view: Any JSON value of at most 64 KiB. `bytes` are shown as base64.

        Raises:
            PayloadTooLarge: The value is larger than 64 KiB: publish a summary.
        """
        payload = ANY.encode(view)
        if payload.form == "bytes":
            payload = ANY.encode(base64.b64encode(payload.data).decode())
        if payload.size > VIEW_LIMIT:
            raise PayloadTooLarge(
                f"publish: the view is {format_size(payload.size)}, limit {format_size(VIEW_LIMIT)}; publish a summary."
            )
        if self._machine.codecs.hides:
            payload = ANY.encode(self._machine.codecs.encode_text(payload.data.decode()))
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
        """Ask a human and wait for the answer, for days if need be.

            say = await ctx.ask("Release?", choices=["yes", "no"], deadline=timedelta(days=7), default="no")

        Args:
            question: The question, in words.
            choices: The answers to choose from. Give either `choices` or `answer`.
            answer: The type of the answer (a model, Enum, Literal, bool), from which people get a form.
            context: Any JSON value that helps to decide.
            deadline: How long the question stays open, or until when (aware datetime). Default: no limit.
            default: The answer when the deadline passes.
            assignee: Who should answer, in words that people know.

        Returns:
            The answer, with who gave it and their comment.

        Raises:
            CallTimedOut: The deadline passed and there is no default.
            CallFailed: A human refused to answer: the step fails.
            TypeError: There are both `choices` and `answer`, or neither.
            ValueError: The default is not one of the choices, or the deadline has no time zone.
        """
        if bool(choices) == (answer is not None):
            raise TypeError("ctx.ask takes either choices= or answer= (the type of the answer)")
        if choices and default is not None and default not in choices:
            raise ValueError(f"ctx.ask: the default {default!r} is not one of the choices {list(choices)!r}")
        codec = Codec.of(answer) if answer is not None else _TEXT
        schema = codec.schema() if answer is not None else b""
        if wrong := malformed(schema):
            raise TypeError(f"ctx.ask: the answer's JSON Schema is invalid: {wrong}")
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
        asked = self._machine.codecs.encode_question(asked)
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


@final
@dataclass(frozen=True, slots=True)
class _CallSite:
    """What the calls at one position of the code have in common, as long as their target and options are these objects."""

    target: Any
    given: CallOptions | None
    site: Site
    capability: str
    input: Codec[Any]
    output: Codec[Any]
    options: Resolved
    version: str | None
    plain: type | None
    """The type of input that cannot change and always fits. None: there is no such type."""
    tally: AttemptTally
    """Of a step without attempts."""


async def bounded(work: Callable[[int], Coroutine[Any, Any, None]], count: int, concurrency: int) -> None:
    """Run `work(0)` … `work(count - 1)`, a limited number at a time, in order. The first error cancels the others."""
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}, but must be at least 1")
    todo = iter(range(count))

    async def worker() -> None:
        for index in todo:
            await work(index)

    create_task = asyncio.get_running_loop().create_task
    workers = [create_task(worker()) for _ in range(min(concurrency, count))]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        # After a cancellation all of them have ended. One is awaited all the same, so that the code goes on in the turn of its loop
        # in which it did in earlier releases: journals of theirs are replayed.
        rest = [task for task in workers if not task.done()] or workers[-1:]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
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
        raise TypeError(f"ctx.call takes the input of {name} by position: ctx.call({name}, …)")
    refuse_unknown("ctx.call", unknown, ("options",))


def _decoded(call: Pending | ChildRun, outcome: Outcome) -> Any:
    try:
        return call.output.decode(outcome.output or NOTHING)
    except InvalidPayload as error:
        words = f"the result of {call.step} does not fit its type: {error}"
        failure = Failure(FailureCode.INVALID_INPUT, words, "InvalidPayload", source=call.step, retryable=False)
        raise CallFailed(failure, call.step) from None


def _epoch_ms(when: datetime, what: str) -> int:
    if not isinstance(when, datetime):
        raise TypeError(f"{what}: {when!r} is not a time: give an aware datetime (a deadline may be a timedelta)")
    if when.tzinfo is None:
        raise ValueError(f"{what}: {when!r} has no time zone; use an aware datetime, e.g. datetime(…, tzinfo=UTC)")
    return (when - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
