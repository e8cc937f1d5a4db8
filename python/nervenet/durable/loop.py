# SPDX-License-Identifier: Apache-2.0
"""The event loop for workflow code: plain asyncio above, without I/O and clock below.

`asyncio.gather`, `TaskGroup`, `wait_for`, `timeout`, `sleep`, `Semaphore`, `Queue` and the rest are asyncio's own code;
this loop makes them durable. The time is that of the last journal entry and does not change while code runs, a timer is
a command to the node, callbacks run in the order of their calls, and each call that would leave the workflow raises
NotDurable with the line and the remedy. `run()` runs callbacks until none is left.

Only sets would be random in CPython: `asyncio.wait` and `as_completed` iterate over sets of tasks, which hash by
address. Tasks and futures of this loop hash by their creation number. A task computes its hash while it is constructed,
so the number is set before asyncio's constructor runs.

Rejected: a loop that subclasses `BaseEventLoop` (it owns a selector and 600 bytes of deque), and an import sandbox
(it fights every library that users bring).
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import math
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol, TypeAlias

from nervenet.durable.lines import Site, called_name, line_of_coroutine, user_frame
from nervenet.durable.remedies import REMEDIES, as_agent, not_durable_message, signature_as_written
from nervenet.errors import NotDurable

CALLBACK_LIMIT = 100_000
"""Callbacks of one entry after which the workflow counts as an endless loop."""

ExceptionHandler: TypeAlias = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class Runaway(Exception):
    """More than CALLBACK_LIMIT callbacks for one entry. The argument is the line of the last one."""


class TimerSource(Protocol):
    """The part of the fold that the loop uses: the time, and durable timers."""

    now_ms: int

    def start_timer(self, handle: DurableTimer) -> int: ...
    def stop_timer(self, number: int) -> None: ...
    def report(self, message: str) -> None: ...


class _StoppedTimers:
    """The timers of a closed loop: the time does not change, and calls have no effect. It replaces the fold, because
    fold and loop would refer to each other and wait for the garbage collector, a pair for each workflow."""

    __slots__ = ("now_ms",)

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def start_timer(self, handle: DurableTimer) -> int:
        return 0

    def stop_timer(self, number: int) -> None:
        pass

    def report(self, message: str) -> None:
        pass


class DurableHandle(asyncio.Handle):
    """A callback to run: asyncio's handle without its debugging fields. A cancelled one has no callback.

    `call_soon` makes one for each task and each wake-up, and sets its three fields itself: a call of `__init__` would cost as much
    as all three.
    """

    __slots__ = ()
    _callback: Any
    _args: tuple[Any, ...]
    _context: contextvars.Context
    _repr = None
    _source_traceback = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._callback!r}>"

    def cancelled(self) -> bool:
        return self._callback is None

    def cancel(self) -> None:
        self._callback = None
        self._args = ()


class DurableTimer(DurableHandle):
    """A callback with a time: the entry `timer:<k>` runs it."""

    __slots__ = ("due_ms", "number", "since_ms")

    def __init__(
        self,
        due_ms: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: DurableLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = contextvars.copy_context() if context is None else context
        self.due_ms = due_ms
        self.since_ms = loop.timers.now_ms
        self.number = 0

    @property
    def is_limit(self) -> bool:
        """Whether asyncio ends a wait with it (`timeout`, `wait_for`, `wait`), and no code sleeps until then."""
        return getattr(self._callback, "__name__", "") in ("_on_timeout", "_release_waiter")

    def when(self) -> float:
        return self.due_ms / 1000

    def cancel(self) -> None:
        if self._callback is not None:
            super().cancel()
            self._loop.timers.stop_timer(self.number)


class DurableFuture(asyncio.Future[Any]):
    """A future whose position in a set is the same in each process."""

    __slots__ = ("number",)
    number: int

    def __hash__(self) -> int:
        return self.number


class DurableTask(asyncio.Task[Any]):
    """A task whose position in a set is the same in each process, and which may be dropped without a warning.

    Made by `DurableLoop.create_task` only.
    """

    __slots__ = ("number",)
    number: int
    _log_destroy_pending: bool

    def __hash__(self) -> int:
        return self.number

    def get_name(self) -> str:
        return super().get_name() or f"Task-{self.number}"


_new_handle = functools.partial(DurableHandle.__new__, DurableHandle)
_new_task = functools.partial(DurableTask.__new__, DurableTask)
_begin_task: Any = asyncio.Task.__init__


_Base: Any = asyncio.AbstractEventLoop


class DurableLoop(_Base):  # type: ignore[misc]  # typeshed has 60 abstract methods; `_forbid` below answers them
    """One workflow's event loop. `timers` is the fold, `title` names the workflow in errors."""

    def __init__(self, timers: TimerSource, title: str) -> None:
        self.timers: TimerSource = timers
        self.title = title
        self.created = 0
        self.stop_now = False
        self._budget = CALLBACK_LIMIT
        self._closed = False
        self._running = False
        self._ready: list[DurableHandle] = []
        self._tasks: list[DurableTask] = []
        self._prune_at = 16
        self._handler: ExceptionHandler | None = None

    def __repr__(self) -> str:
        return f"<DurableLoop of {self.title}>"

    # ── called by the machine ────────────────────────────────────────────────────────────────────────────────────────

    def run(self, most: int = CALLBACK_LIMIT, *, again: bool = False) -> bool:
        """Run callbacks until none is left or `stop_now` is set (True), or until `most` have run (False).

        `again` continues a run that has paused. Raises Runaway if one entry needs more than CALLBACK_LIMIT.
        """
        budget = self._budget if again else CALLBACK_LIMIT
        least = budget - most if budget > most else 0
        entered = _Entered(self)
        try:
            while self._ready:
                batch, self._ready = self._ready, []
                for handle in batch:
                    if self.stop_now:
                        return True
                    if handle._callback is None:
                        continue
                    if (budget := budget - 1) < least:
                        if budget < 0:
                            raise Runaway(_line_of(handle))
                        self._budget = budget + 1
                        self._ready = batch[batch.index(handle) :] + self._ready
                        return False
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except (SystemExit, asyncio.CancelledError):
                        pass  # a task that ends so has recorded it; asyncio's own loop would stop here
                    except Exception as error:  # noqa: BLE001  # a callback's error is reported, as asyncio does
                        self.call_exception_handler(
                            {"message": f"Exception in callback {handle!r}", "exception": error}
                        )
        finally:
            entered.leave()
        return True

    def halt(self, _: object) -> None:
        """The main task has ended: drop the callbacks that are left."""
        self.stop_now = True

    def close_tasks(self) -> None:
        """Drop everything: end pending coroutines, the newest first, without warnings. Their `finally` blocks run."""
        self._closed = True
        while self._tasks:  # a `finally` block may create some, which end before they begin
            tasks, self._tasks = self._tasks, []
            if pending := [task for task in reversed(tasks) if not task.done()]:
                self._drop_all(pending)
        self._ready = []
        self.timers = _StoppedTimers(self.timers.now_ms)

    def _drop_all(self, tasks: list[DurableTask]) -> None:
        entered = _Entered(self)
        try:
            for task in tasks:
                if not task.done():
                    _drop(task.get_coro())
        finally:
            entered.leave()
        for task in tasks:
            _cut_off(task)

    # ── called by asyncio ────────────────────────────────────────────────────────────────────────────────────────────

    def time(self) -> float:
        return self.timers.now_ms / 1000

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> DurableHandle:
        handle = _new_handle()
        handle._callback = callback
        handle._args = args
        handle._context = contextvars.copy_context() if context is None else context
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> DurableHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> DurableHandle:
        # Seconds as floats carry about a quarter of a microsecond today; less than 10 µs over is not another millisecond.
        due_ms = math.ceil(when * 1000 - 0.01)
        timer = DurableTimer(due_ms, callback, args, self, context)
        if due_ms > self.timers.now_ms:
            timer.number = self.timers.start_timer(timer)
        else:
            self._ready.append(timer)
        return timer

    def fire(self, timer: DurableTimer) -> None:
        """The timer's entry has arrived: run its callback next."""
        self._ready.append(timer)

    def create_future(self) -> DurableFuture:
        future = DurableFuture(loop=self)
        self.created = future.number = self.created + 1
        return future

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        eager_start: bool | None = None,
    ) -> DurableTask:
        if eager_start:
            raise self.not_durable("create_task(eager_start=True)", "Create the task without eager_start.")
        task = _new_task()
        self.created = task.number = self.created + 1  # before its constructor, which computes the hash
        _begin_task(task, coro, loop=self, name=name or "", context=context)
        task._log_destroy_pending = False
        # Held here until done: asyncio keeps weak references only, and a task that the garbage collector takes at a
        # moment of its own choosing would be chance.
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._tasks = [t for t in self._tasks if not t.done()]
            self._prune_at = max(16, 2 * len(self._tasks))
        return task

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def is_alive(self) -> bool:
        """Whether code runs whose calls have an effect, unlike that of a workflow which is being dropped."""
        return self._running and not self._closed

    get_debug = bool
    """asyncio asks this of every new task and future: `bool()` is False, and is no call of Python code."""

    def set_debug(self, enabled: bool) -> None:
        """Has no effect: asyncio's debug mode reads clocks and stacks."""

    def get_task_factory(self) -> None:
        return None

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators are closed when they are dropped."""

    def get_exception_handler(self) -> ExceptionHandler | None:
        return self._handler

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        self._handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.timers.report(f"{context.get('message', 'error')}" + (f": {error!r}" if error is not None else ""))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._closed or not self._running:
            return  # the garbage collector may run code of a dropped workflow here
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)

    # ── what can't be durable ────────────────────────────────────────────────────────────────────────────────────────

    def run_in_executor(self, executor: object, func: Callable[..., object], *args: object) -> Any:
        inner = func.args[0] if isinstance(func, functools.partial) and func.args else func  # to_thread's wrapping
        name = getattr(inner, "__name__", "work")
        if name.isidentifier() and inspect.isfunction(inner):
            raise self.not_durable("run_in_executor", as_agent(name, signature_as_written(inner)))
        if getattr(inner, "__module__", "") == "builtins":  # an agent should not take its name
            quick = f"If it is quick, call {name}(…) without a thread. Else make"
            raise self.not_durable("run_in_executor", as_agent("work").replace("Make", quick, 1))
        raise self.not_durable("run_in_executor", as_agent(name))

    def not_durable(self, method: str, cure: str = "") -> NotDurable:
        """The error for a call that leaves the workflow, with the user's call, the line and the remedy."""
        frame, inner = user_frame(sys._getframe(1))
        where = "" if frame is None else f" ({Site(frame.f_code, frame.f_lineno)})"
        return NotDurable(not_durable_message(called_name(inner, method), self.title, where, cure or as_agent("work")))

    def _asyncgen_dropped(self, agen: AsyncGenerator[Any, Any]) -> None:
        """An async generator lost its last reference: it is closed, and what its `finally` awaits is awaited, as long
        as the workflow lives."""
        if self.is_alive():
            self.create_task(agen.aclose())
            return
        closing: Any = agen.aclose()
        with suppress(BaseException):
            closing.send(None)
            _drop(closing)


def _forbid(name: str) -> Callable[..., Any]:
    def refuse(self: DurableLoop, *args: object, **kwargs: object) -> Any:
        if name == "run_until_complete" and args and asyncio.iscoroutine(args[0]):
            args[0].close()
        raise self.not_durable(name, REMEDIES.get(name, ""))

    refuse.__name__ = name
    return refuse


for _name in vars(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and _name not in vars(DurableLoop):
        setattr(DurableLoop, _name, _forbid(_name))


class _Entered:
    """Makes this loop asyncio's running loop until `leave`, which restores the loop that ran before.

    A change of the thread's default loop (`asyncio.set_event_loop`) by the code is undone as well.

    It works inside a callback or a task of another loop, and without a loop. CPython 3.14 refuses to enter a task while
    another is current, also one of another loop, so an outer task is left and entered again there.

    This is done for every entry of every workflow, so it makes few calls and is no context manager.
    """

    __slots__ = ("_default", "_hooks", "_local", "_loop", "_outer", "_set_called", "_task")

    def __init__(self, loop: DurableLoop) -> None:
        self._loop = loop
        self._outer = outer = _get_running_loop()
        self._task = None
        if _ONE_CURRENT_TASK and outer is not None and (task := asyncio.current_task(outer)) is not None:
            self._task = task
            _leave_task(outer, task)
        self._local = local = _defaults() if _HAS_POLICY and _EVENTS._event_loop_policy is not None else None
        if local is not None:
            self._default, self._set_called = local._loop, local._set_called
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, self._loop._asyncgen_dropped)
        _set_running_loop(self._loop)
        self._loop._running = True

    def leave(self) -> None:
        self._loop._running = False
        _set_running_loop(self._outer)
        sys.set_asyncgen_hooks(*self._hooks)
        local = self._local
        if local is None:
            if _HAS_POLICY and _EVENTS._event_loop_policy is not None:
                made = _defaults()
                if made is not None and made._loop is self._loop:
                    made._loop, made._set_called = None, False  # the code made the thread's first policy
        elif local._loop is not self._default:
            local._loop, local._set_called = self._default, self._set_called
        if self._task is not None:
            _enter_task(self._outer, self._task)  # type: ignore[arg-type]


_ONE_CURRENT_TASK = sys.version_info >= (3, 14)
"""Whether a thread has one current task, and not one for each loop."""
_EVENTS: Any = asyncio.events
_HAS_POLICY = hasattr(_EVENTS, "_event_loop_policy")


def _defaults() -> Any:
    """asyncio's note of this thread's default loop; None without a policy, or with one of another kind.

    The public function would create a loop, or warn.
    """
    policy = getattr(_EVENTS, "_event_loop_policy", None)
    if policy is None:
        return None
    local = getattr(policy, "_local", None)
    return local if hasattr(local, "_set_called") else None


class _Dropped(BaseException):
    """Raised where the code of a dropped workflow waits. Not GeneratorExit, which CPython 3.11 does not hand on into an
    async generator that is being iterated."""


MOST_DROPS = 100
"""How often a coroutine may wait for something else while it is dropped."""


def _drop(code: Any) -> None:
    """End a coroutine where it waits, and again where its clean-up waits. Its exceptions are dropped.

    A coroutine that never ends is left to CPython, which warns when it frees it.
    """
    with suppress(BaseException):
        for _ in range(MOST_DROPS):
            code.throw(_Dropped())


def _cut_off(task: DurableTask) -> None:
    """Let a dropped task and what it waited for refer to each other no longer, so that both are freed at once.

    asyncio has all tasks of a process in one set, in which those of workflows are found slowly: their hash is their number in their
    workflow. What waits for the garbage collector stays in it.
    """
    for future in (task, getattr(task, "_fut_waiter", None)):
        if future is not None and not future.done():
            for callback, _ in future._callbacks or ():
                future.remove_done_callback(callback)


def _line_of(handle: DurableHandle) -> str:
    """The line of a callback's code, for the report of an endless loop."""
    task = getattr(handle._callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return line_of_coroutine(task.get_coro())
    code = getattr(handle._callback, "__code__", None)
    return "" if code is None else str(Site(code, code.co_firstlineno))


def overrun_line(frame: FrameType | None) -> str:
    """The user's line that a thread executes, for the report of code that does not stop."""
    found, _ = user_frame(frame)
    return "" if found is None else str(Site(found.f_code, found.f_lineno))


def _through_durable_loops(factory: Any) -> Any:
    """asyncio's factory of eager tasks, which on one of our loops makes the loop's own tasks."""

    @functools.wraps(factory)
    def make(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        if not isinstance(loop, DurableLoop):
            return factory(loop, coro, **options)
        options.pop("eager_start", None)  # started later, in an order that is the same in each process
        return loop.create_task(coro, **options)

    return make


# Libraries call it directly (LangGraph does), and it constructs the task without asking the loop: such a task would hash by
# its address, and the loop could not drop it. Nothing changes for other loops.
if sys.version_info >= (3, 12):
    asyncio.eager_task_factory = asyncio.tasks.eager_task_factory = _through_durable_loops(asyncio.eager_task_factory)
