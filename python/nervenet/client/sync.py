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

import ssl
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from typing_extensions import ParamSpec, TypeForm, TypeVar

from nervenet.client.client import Client
from nervenet.client.loop_thread import LoopThread, refuse_in_a_loop

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
    """One workflow, as a SyncClient sees it. Made by `SyncClient.start` and `SyncClient.handle`."""

    __slots__ = ("_handle", "_loop_thread")

    def __init__(self, handle: WorkflowHandle[T_co], loop_thread: LoopThread) -> None:
        self._handle = handle
        self._loop_thread = loop_thread

    def __repr__(self) -> str:
        return f"<SyncHandle {self.id}>"

    @property
    def id(self) -> str:
        """Its workflow id."""
        return self._handle.id

    @property
    def created(self) -> bool:
        """Whether this start created it. False if it existed before, and for `handle`."""
        return self._handle.created

    def result(self, *, timeout: timedelta | float | None = None, wait_while_blocked: bool = False) -> T_co:
        """Wait for its end and return its result.

        Args:
            timeout: Longest wait, in seconds or as a timedelta. Default: no limit.
            wait_while_blocked: Keep waiting while it is BLOCKED, until its code is corrected.

        Raises:
            WorkflowBlocked: It is BLOCKED: its code needs a correction. The error has the line.
            WorkflowFailed: It failed or timed out.
            WorkflowCanceled: It was canceled.
            TimeoutError: `timeout` passed. The workflow continues.
            NotFound: There is no such workflow.
        """
        return self._loop_thread.wait(self._handle.result(timeout=timeout, wait_while_blocked=wait_while_blocked))

    def info(self) -> WorkflowInfo:
        """The workflow as it is now.

        Raises:
            NotFound: There is no such workflow.
        """
        return self._loop_thread.wait(self._handle.info())

    @overload
    def signal(self, signal: Target[[None], None], /, *, undeclared: bool = ...) -> None: ...
    @overload
    def signal(self, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def signal(self, signal: Target[[T], None], value: T, /, *, undeclared: bool) -> None: ...
    @overload
    def signal(self, signal: str, value: object = None, /, *, undeclared: bool = ...) -> None: ...
    def signal(self, signal: Any, /, *args: Any, **kwargs: Any) -> None:
        """Send it a signal. It is recorded once, even if the client repeats the request.

        Args:
            signal: The signal, or its name (then the value is plain JSON).
            value: What it carries.
            undeclared: Send it even if the workflow's code does not receive it, for code that is deployed later.

        Raises:
            InvalidRequest: The workflow's code receives no such signal, or one of another type.
            AlreadyClosed: The workflow has ended.
            NotFound: There is no such workflow.
        """
        self._loop_thread.wait(self._handle.signal(signal, *args, **kwargs))

    def cancel(self, reason: str = "", /) -> None:
        """Ask it to stop. Its clean-up code runs first; `result` raises WorkflowCanceled when it has stopped.

        Args:
            reason: Why, for people.

        Raises:
            AlreadyClosed: The workflow has ended.
            NotFound: There is no such workflow.
        """
        self._loop_thread.wait(self._handle.cancel(reason))

    def watch(self, *, after: int = 0, progress: bool = False, partials: bool = False) -> Iterator[Event]:
        """What happens to it, until its end. When a node stops, the client continues with another one.

        Args:
            after: Begin after the entry with this number (`Event.sequence`). 0: from the start.
            progress: Also what handlers report with `task.progress`.
            partials: Also what handlers `emit`.

        Raises:
            NotFound: There is no such workflow.
        """
        return self._loop_thread.each(self._handle.watch(after=after, progress=progress, partials=partials))

    @overload
    def partials(self, step: str | Target[..., Any], type: type[T], /) -> Iterator[Partial[T]]: ...
    @overload
    def partials(self, step: str | Target[..., Any], type: TypeForm[T], /) -> Iterator[Partial[T]]: ...
    def partials(self, step: str | Target[..., Any], type: Any, /) -> Iterator[Partial[Any]]:
        """What the handlers of a step `emit`, from the beginning of the running attempt.

        Args:
            step: The name of one step (`"think.2"`), until that step ends. Or an agent: all of its steps, until the
                workflow ends.
            type: Type of the pieces.

        Raises:
            InvalidPayload: A piece is of another type.
            NotFound: There is no such workflow.
        """
        return self._loop_thread.each(self._handle.partials(step, type))


class SyncClient:
    """The client for programs without an event loop: the methods of `Client`, without await.

        with SyncClient() as client:
            run = client.start(review, doc, id="review-118")
            summary = run.result(timeout=30)

    Any number of threads may use it. Inside a running event loop it raises RuntimeError: use Client there.

    Args:
        address: Any node or nodes: `host:port`, `host:port,host:port` or `dns:///name:port`.
            Default: the setting `address` (`localhost:7700`).
        namespace: Whose workflows. Default: the setting `namespace` (`default`).
        tls: False: plaintext. True: TLS with the system's authorities, or an SSLContext of your own.
            Default: the setting `tls`.
        token: The mesh's token. Default: the setting `token` or `token_file`.
        config: Settings. Default: `Config.load()`. The other arguments are stronger.

    Raises:
        ConfigError: A setting cannot be used. The message names it and its source.
    """

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
        self._loop_thread = LoopThread()

    def __repr__(self) -> str:
        return f"<SyncClient of {self.config.namespace} at {self.config.address}>"

    @property
    def config(self) -> Config:
        """The settings that it uses."""
        return self._client.config

    def __enter__(self) -> Self:
        refuse_in_a_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Workflows continue; another thread that still waits for something gets a
        RuntimeError.
        """
        self._loop_thread.close(self._client.close)

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
        """Start a workflow, durably: when this returns, the workflow will run to its end, whatever stops.

        The same id with the same input returns the existing run, so it is safe to repeat a start.

        Args:
            workflow: The workflow, or its name (then input and result are plain JSON).
            input: Its input.
            id: Workflow id, a name of your own for the thing (`invoice-2024-17`): letters, digits and `._:/@-`, at most
                200 characters. Default: the workflow's name and a UUID.
            options: How it is started.

        Returns:
            A handle. `created` is False if the workflow existed before.

        Raises:
            AlreadyExists: The id is taken by a run with another definition or input.
            NotFound: No live node has this workflow.
            InvalidRequest: The input or the id cannot be used.
            Overloaded: The mesh is full, or the input is too large. Wait for `retry_after` where it is set.
            Unavailable: No node answered within 3 s (20 s if one has answered before).
        """
        return SyncHandle(self._loop_thread.wait(self._client.start(workflow, *args, **named)), self._loop_thread)

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
        """Start a workflow and wait for its result.

        Args:
            workflow: The workflow, or its name (then input and result are plain JSON).
            input: Its input.
            id: Workflow id, a name of your own for the thing (`invoice-2024-17`): letters, digits and `._:/@-`, at most
                200 characters. Default: the workflow's name and a UUID.
            options: How it is started.

        Raises:
            WorkflowBlocked: It is BLOCKED: its code needs a correction. The error has the line. It continues when the code is
                corrected: `client.handle(id).result(wait_while_blocked=True)` waits for that.
            WorkflowFailed: It failed or timed out.
            WorkflowCanceled: It was canceled.
            RequestError: It could not be started, see `start`.
        """
        return self._loop_thread.wait(self._client.run(workflow, *args, **named))

    def start_many(
        self, workflow: Target[[I], O], inputs: Mapping[str, I], /, *, options: StartOptions | None = None
    ) -> Mapping[str, SyncHandle[O]]:
        """Start many workflows in one request.

        Args:
            workflow: The workflow.
            inputs: Workflow id → input.
            options: How each one is started.

        Returns:
            Workflow id → handle.

        Raises:
            RequestError: One was refused. The others are started all the same.
        """
        handles = self._loop_thread.wait(self._client.start_many(workflow, inputs, options=options))
        return {key: SyncHandle(handle, self._loop_thread) for key, handle in handles.items()}

    @overload
    def handle(self, id: str, workflow: Workflow[Any, O], /) -> SyncHandle[O]: ...
    @overload
    def handle(self, id: str, /) -> SyncHandle[Any]: ...
    def handle(self, id: str, /, *workflow: Any) -> SyncHandle[Any]:
        """A handle of a workflow that was started elsewhere. No request is sent.

        Args:
            id: Its workflow id.
            workflow: Its definition, for the type of the result. Default: plain JSON.
        """

        async def on_its_loop() -> WorkflowHandle[Any]:
            return self._client.handle(id, *workflow)

        return SyncHandle(self._loop_thread.wait(on_its_loop()), self._loop_thread)

    def call(self, agent: Agent[I, O], input: I, /, *, request_id: str, options: CallOptions | None = None) -> O:
        """Run one durable task without a workflow of your own, and return its result.

            facts = client.call(extract, doc, request_id="mail-77")

        Args:
            agent: The agent.
            input: Its input.
            request_id: Id of the request. The same id with the same agent and input is the same task, now and later.
            options: Options of the call. Those of the first request count.

        Raises:
            CallFailed: The task failed for good.
            CallTimedOut: The task ran out of its time.
            WorkflowBlocked: Its record cannot be read: it is damaged, or a newer release wrote it. The error says which.
            AlreadyExists: The request id was used for another agent or input. Choose another one.
            Overloaded: The agent's queue is full. Wait for `retry_after`.
        """
        return self._loop_thread.wait(self._client.call(agent, input, request_id=request_id, options=options))

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
        """Workflows, newest first.

        Args:
            state: One state or several: RUNNING, WAITING_FOR_HUMAN, BLOCKED, CANCELING, SUCCEEDED, FAILED, CANCELED,
                TIMED_OUT. Default: all.
            definition: Name of the workflow definition. Default: all.
            labels: Labels that the workflow must have, all of them.
            started_after: Only workflows that started after this moment (aware datetime).
            limit: At most this many. Default: all.

        Raises:
            ValueError: There is no such state.
            InvalidRequest: A filter cannot be used.
        """
        found = self._client.list(
            state=state, definition=definition, labels=labels, started_after=started_after, limit=limit
        )
        return self._loop_thread.each(found)

    def put_definition(self, definition: Mapping[str, Any], /) -> Workflow[Any, Any]:
        """Store a workflow given as data, and return what starts this version of it.

            flow = client.put_definition(json.loads(text))
            client.run(flow, doc, id="audit-httpx")

        The same content again changes nothing.

        Args:
            definition: The definition as plain data, as a JSON or YAML parser gives it.

        Raises:
            AlreadyExists: This version is stored with other content. Raise `version`.
            InvalidRequest: The definition is wrong. `fields` has every problem with its path.
        """
        return self._loop_thread.wait(self._client.put_definition(definition))

    def escalations(self, *, state: str = "OPEN", workflow_id: str | None = None) -> Iterator[Escalation]:
        """Questions to humans, the earliest deadline first.

        Args:
            state: OPEN, RESOLVED, EXPIRED or WITHDRAWN. States other than OPEN need a `workflow_id`.
            workflow_id: Questions of this workflow only.

        Raises:
            ValueError: There is no such state.
        """
        return self._loop_thread.each(self._client.escalations(state=state, workflow_id=workflow_id))

    def resolve(self, escalation_id: str, resolution: Resolution, /) -> None:
        """Answer an open question.

        The client does not retry this request. If it raises Unavailable, look at the question before you repeat it.

        Args:
            escalation_id: Id of the question: `<workflow id>/<step>`.
            resolution: The answer.

        Raises:
            AlreadyClosed: Somebody answered before, or the workflow has ended. The message says who.
            InvalidRequest: The value does not fit what was asked. The message names the field.
            NotFound: There is no such question.
        """
        self._loop_thread.wait(self._client.resolve(escalation_id, resolution))
