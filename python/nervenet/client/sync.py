# SPDX-License-Identifier: Apache-2.0
"""`SyncClient`: the client for programs without an event loop.

    with SyncClient() as client:
        run = client.start(review, doc, id="review-118")
        summary = run.result(timeout=30)

The same methods as `Client`, without await. They run on a `Client` of its own, whose loop lives in one background
thread, started at the first call; any number of threads may call. A method never is both: inside a running loop these
would block everything else there, so they refuse.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from typing_extensions import ParamSpec, TypeForm, TypeVar

from nervenet.client.client import Client

if TYPE_CHECKING:
    from nervenet.client.handle import WorkflowHandle
    from nervenet.client.values import Escalation, Event, Partial, Resolution, WorkflowInfo
    from nervenet.config import Config
    from nervenet.definitions import Agent, Target, Workflow
    from nervenet.options import CallOptions, StartOptions

__all__ = ["SyncClient", "SyncHandle"]

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # In and Out, as the stubs have them
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SyncHandle(Generic[T_co]):
    """One workflow in the hands of a SyncClient; see `WorkflowHandle`."""

    __slots__ = ("_aside", "_handle")

    def __init__(self, handle: WorkflowHandle[T_co], aside: _Aside) -> None:
        self._handle = handle
        self._aside = aside

    def __repr__(self) -> str:
        return f"<SyncHandle {self.id}>"

    @property
    def id(self) -> str:
        return self._handle.id

    @property
    def created(self) -> bool:
        """False where the workflow was there before (or the handle only names it)."""
        return self._handle.created

    def result(self, *, timeout: timedelta | float | None = None) -> T_co:
        """Wait for its end. Raises WorkflowFailed or WorkflowCanceled; TimeoutError leaves the workflow running."""
        return self._aside.wait(self._handle.result(timeout=timeout))

    def info(self) -> WorkflowInfo:
        """What it is at now."""
        return self._aside.wait(self._handle.info())

    @overload
    def signal(self, signal: Target[[None], None], /, *, undeclared: bool = ...) -> None: ...
    @overload
    def signal(self, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def signal(self, signal: Target[[T], None], value: T, /, *, undeclared: bool) -> None: ...
    @overload
    def signal(self, signal: str, value: object = None, /, *, undeclared: bool = ...) -> None: ...
    def signal(self, signal: Any, /, *args: Any, **kwargs: Any) -> None:
        """Send it a signal, recorded once even where the call is repeated; see `WorkflowHandle.signal`."""
        self._aside.wait(self._handle.signal(signal, *args, **kwargs))

    def cancel(self, reason: str = "", /) -> None:
        """Ask it to stop; its clean-up runs first."""
        self._aside.wait(self._handle.cancel(reason))

    def watch(self, *, after: int = 0, progress: bool = False, partials: bool = False) -> Iterator[Event]:
        """What happens to it, from behind entry `after` to its end; goes on at another node by itself."""
        return self._aside.each(self._handle.watch(after=after, progress=progress, partials=partials))

    @overload
    def partials(self, step: str | Target[..., Any], type: type[T], /) -> Iterator[Partial[T]]: ...
    @overload
    def partials(self, step: str | Target[..., Any], type: TypeForm[T], /) -> Iterator[Partial[T]]: ...
    def partials(self, step: str | Target[..., Any], type: Any, /) -> Iterator[Partial[Any]]:
        """What the handlers of a step `emit`, from the running attempt's beginning.

        A step's name (`"think.2"`) means that step: it ends with it. An agent means all of its steps, until the workflow ends.
        """
        return self._aside.each(self._handle.partials(step, type))


class SyncClient:
    """Use it as `with`, or close it. Arguments win over `config`, which wins over environment and file."""

    def __init__(
        self,
        address: str | None = None,
        /,
        *,
        namespace: str | None = None,
        tls: ssl.SSLContext | bool | None = None,
        token: str | None = None,
        config: Config | None = None,
    ) -> None:
        self._client = Client(address, namespace=namespace, tls=tls, token=token, config=config)
        self._aside = _Aside()

    def __repr__(self) -> str:
        return f"<SyncClient of {self.config.namespace} at {self.config.address}>"

    @property
    def config(self) -> Config:
        return self._client.config

    def __enter__(self) -> Self:
        _refuse_in_a_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Workflows go on; another thread that still waits for something here gets a RuntimeError."""
        self._aside.close(self._client.close)

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def start(
        self, workflow: Target[[None], O], /, *, id: str | None = None, options: StartOptions | None = None
    ) -> SyncHandle[O]: ...
    @overload
    def start(self, workflow: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[O]: ...
    @overload
    def start(
        self, workflow: Target[[I], O], input: I, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> SyncHandle[O]: ...
    @overload
    def start(
        self, workflow: str, input: object = None, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> SyncHandle[Any]: ...
    def start(self, workflow: Any, /, *args: Any, **named: Any) -> SyncHandle[Any]:
        """Start it, durably: when this returns, it will run to its end. The same id and input give the same run."""
        return SyncHandle(self._aside.wait(self._client.start(workflow, *args, **named)), self._aside)

    @overload
    def run(
        self, workflow: Target[[None], O], /, *, id: str | None = None, options: StartOptions | None = None
    ) -> O: ...
    @overload
    def run(self, workflow: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> O: ...
    @overload
    def run(
        self, workflow: Target[[I], O], input: I, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> O: ...
    @overload
    def run(
        self, workflow: str, input: object = None, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> Any: ...
    def run(self, workflow: Any, /, *args: Any, **named: Any) -> Any:
        """Start it and wait for its result."""
        return self._aside.wait(self._client.run(workflow, *args, **named))

    def start_many(
        self, workflow: Target[[I], O], inputs: Mapping[str, I], /, *, options: StartOptions | None = None
    ) -> Mapping[str, SyncHandle[O]]:
        """Many in one call: id → input. The first that is refused raises; the others are started all the same."""
        handles = self._aside.wait(self._client.start_many(workflow, inputs, options=options))
        return {key: SyncHandle(handle, self._aside) for key, handle in handles.items()}

    @overload
    def handle(self, id: str, workflow: Workflow[Any, O], /) -> SyncHandle[O]: ...
    @overload
    def handle(self, id: str, /) -> SyncHandle[Any]: ...
    def handle(self, id: str, /, *workflow: Any) -> SyncHandle[Any]:
        """A workflow that somebody started; nothing is asked yet."""

        async def on_its_loop() -> WorkflowHandle[Any]:
            return self._client.handle(id, *workflow)

        return SyncHandle(self._aside.wait(on_its_loop()), self._aside)

    def call(self, agent: Agent[I, O], input: I, /, *, request_id: str, options: CallOptions | None = None) -> O:
        """One durable task without a workflow of yours; the same request_id is the same task, now and later.

        Raises CallFailed when it failed for good.
        """
        return self._aside.wait(self._client.call(agent, input, request_id=request_id, options=options))

    # ── look, and people ─────────────────────────────────────────────────────────────────────────────────────────────

    def list(
        self,
        *,
        state: str | Collection[str] | None = None,
        definition: str | None = None,
        labels: Mapping[str, str] | None = None,
        started_after: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[WorkflowInfo]:
        """Workflows, newest first."""
        found = self._client.list(
            state=state, definition=definition, labels=labels, started_after=started_after, limit=limit
        )
        return self._aside.each(found)

    def put_definition(self, definition: Mapping[str, Any], /) -> Workflow[Any, Any]:
        """Store a workflow given as data and give what starts this version of it."""
        return self._aside.wait(self._client.put_definition(definition))

    def escalations(self, *, state: str = "OPEN", workflow_id: str | None = None) -> Iterator[Escalation]:
        """What waits for a human, the earliest deadline first. Other states than OPEN need a workflow_id."""
        return self._aside.each(self._client.escalations(state=state, workflow_id=workflow_id))

    def resolve(self, escalation_id: str, resolution: Resolution, /) -> None:
        """Decide it; not repeated by itself. AlreadyClosed says who decided otherwise before."""
        self._aside.wait(self._client.resolve(escalation_id, resolution))


class _Aside:
    """A loop in a thread of its own, and others waiting for what they have it do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._closed = False

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done there. An interrupt here cancels it there. Contextvars go along (asyncio copies them)."""
        try:
            _refuse_in_a_loop()
            future = asyncio.run_coroutine_threadsafe(work, self._running())
        except RuntimeError:
            work.close()
            raise
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("this SyncClient was closed while it waited") from None
        except BaseException:
            future.cancel()
            raise

    def each(self, items: AsyncIterator[T]) -> Iterator[T]:
        """One by one: the next is fetched when it is asked for."""
        try:
            while True:
                try:
                    item = self.wait(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._leave(items)

    def close(self, last: Any) -> None:
        """Have `last` done, then end the thread. Once."""
        _refuse_in_a_loop()
        with self._lock:
            started, was_closed, self._closed = self._loop, self._closed, True
        if was_closed or started is None or self._thread is None or not self._thread.is_alive():
            return
        try:
            asyncio.run_coroutine_threadsafe(last(), started).result()
        finally:
            assert self._stop is not None
            started.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _leave(self, items: AsyncIterator[Any]) -> None:
        """Nobody wants more. Not waited for: this may be the garbage collector, on any thread."""
        loop, close = self._loop, getattr(items, "aclose", None)
        if loop is not None and close is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(close(), loop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError("this SyncClient is closed")
            if self._thread is None:
                ready = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(ready,), name="nervenet client", daemon=True)
                self._thread.start()
                ready.wait()
            if not self._thread.is_alive():
                raise RuntimeError("this SyncClient was used before this process forked: make one in each process")
            assert self._loop is not None
            return self._loop

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await self._stop.wait()

        asyncio.run(serve())


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


def _refuse_in_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "SyncClient blocks, and this thread runs an event loop: use Client there (async with Client() …)"
    )
