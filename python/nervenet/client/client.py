# SPDX-License-Identifier: Apache-2.0
"""`Client`: start workflows, await them, look at them, answer for humans.

    async with Client() as client:
        run = await client.start(review, doc, id="review-118")
        summary = await run.result(timeout=30)

It connects at its first call. Coalescing (starts of one tick, results over one stream) and retries are below and never
show. Ids made up here are kept through the client's own retries, so a lost reply never starts a second workflow.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from typing_extensions import ParamSpec, TypeVar

from nervenet.client.awaiting import Awaiter
from nervenet.client.handle import WorkflowHandle, outcome_of
from nervenet.client.inputs import encoded
from nervenet.client.nodes import Nodes
from nervenet.client.starting import StartBatcher
from nervenet.client.values import Escalation, WorkflowInfo
from nervenet.clock import new_workflow_id
from nervenet.config import Config, parse_argument
from nervenet.definitions import Agent, Workflow
from nervenet.errors import CallFailed, CallTimedOut, WorkflowFailed
from nervenet.options import ResolvedStart, resolve, resolve_start
from nervenet.payloads import ANY
from nervenet.records import FailureCode
from nervenet.rpc.status import invalid_all
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1.workflow_pb2 import EscalationState, WorkflowState
from nervenet.wire import (
    declaration_from_json,
    definition_from_json,
    duration,
    options_out,
    payload_fields,
    payload_out,
    timestamp,
)

if TYPE_CHECKING:
    from nervenet.client.values import Resolution
    from nervenet.definitions import Target
    from nervenet.options import CallOptions, StartOptions
    from nervenet.payloads import Codec
    from nervenet.records import Payload

__all__ = ["Client"]

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # In and Out, as the stubs have them
O = TypeVar("O")  # noqa: E741

_IF_EXISTS = {
    "same": pb.IF_EXISTS_SAME,
    "error": pb.IF_EXISTS_ERROR,
    "restart_if_closed": pb.IF_EXISTS_RESTART_IF_CLOSED,
}
_DURABILITY = {None: pb.DURABILITY_UNSPECIFIED, "normal": pb.DURABILITY_NORMAL, "strict": pb.DURABILITY_STRICT}
_PAGE = 200


class Client:
    """The asynchronous client: starts workflows, awaits them, looks at them, answers for humans.

        async with Client() as client:
            run = await client.start(review, doc, id="review-118")
            summary = await run.result(timeout=30)

    It connects at its first request. A node that does not answer is replaced by the next one, and requests that are
    safe to repeat are repeated: for 3 s if no node has answered yet, for 20 s afterwards.

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
        given = {"address": address, "namespace": namespace, "token": token}
        self.config = Config.load(**given) if config is None else _with(config, given)  # type: ignore[arg-type]  # overrides
        config = self.config
        self._nodes = Nodes(config, tls)
        self._made: tuple[StartBatcher, Awaiter] | None = None

    def __repr__(self) -> str:
        return f"<Client of {self.config.namespace} at {self.config.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Workflows continue; what is still awaited here is cancelled."""
        if self._made is not None:
            starter, awaiter = self._made
            await starter.close()
            await awaiter.close()
        await self._nodes.close()

    def _parts(self) -> tuple[StartBatcher, Awaiter]:
        """Made when used: they belong to the loop that uses them."""
        if self._made is None:
            awaiter = Awaiter(self._nodes)
            self._made = StartBatcher(self._nodes, awaiter), awaiter
        return self._made

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    async def start(
        self, workflow: Target[[None], O], /, *, id: str | None = None, options: StartOptions | None = None
    ) -> WorkflowHandle[O]: ...
    @overload
    async def start(self, workflow: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[O]: ...
    @overload
    async def start(
        self, workflow: Target[[I], O], input: I, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> WorkflowHandle[O]: ...
    @overload
    async def start(
        self, workflow: str, input: object = None, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> WorkflowHandle[Any]: ...
    async def start(  # type: ignore[misc]  # P of the second overload is always one positional value
        self, workflow: Any, /, *args: Any, id: str | None = None, options: StartOptions | None = None
    ) -> WorkflowHandle[Any]:
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
        request = self._request(workflow, encoded(workflow, args), id, options)
        created = await self._parts()[0].start(request)
        return self._handle(request.workflow_id, created, workflow)

    @overload
    async def run(
        self, workflow: Target[[None], O], /, *, id: str | None = None, options: StartOptions | None = None
    ) -> O: ...
    @overload
    async def run(self, workflow: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> O: ...
    @overload
    async def run(
        self, workflow: Target[[I], O], input: I, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> O: ...
    @overload
    async def run(
        self, workflow: str, input: object = None, /, *, id: str | None = None, options: StartOptions | None = None
    ) -> Any: ...
    async def run(  # type: ignore[misc]  # as above
        self, workflow: Any, /, *args: Any, id: str | None = None, options: StartOptions | None = None
    ) -> Any:
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
        request = self._request(workflow, encoded(workflow, args), id, options)
        starter, awaiter = self._parts()
        if self._nodes.telemetry.on:
            await starter.start(request)
            future = awaiter.wait(request.workflow_id)
        else:
            future = starter.run(request)
        try:
            closed = await future
        except BaseException:  # above all a caller that is cancelled
            awaiter.forget(request.workflow_id, future)
            raise
        return outcome_of(closed, _output(workflow))

    async def start_many(
        self, workflow: Target[[I], O], inputs: Mapping[str, I], /, *, options: StartOptions | None = None
    ) -> Mapping[str, WorkflowHandle[O]]:
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
        starter = self._parts()[0]
        requests = [self._request(workflow, encoded(workflow, (one,)), key, options) for key, one in inputs.items()]
        started = await asyncio.gather(*map(starter.start, requests), return_exceptions=True)
        handles: dict[str, WorkflowHandle[O]] = {}
        for request, created in zip(requests, started, strict=True):
            if isinstance(created, BaseException):
                raise created
            handles[request.workflow_id] = self._handle(request.workflow_id, created, workflow)
        return handles

    def _request(
        self, workflow: Target[..., Any] | str, payload: Payload, id: str | None, options: StartOptions | None
    ) -> pb.StartWorkflowRequest:
        if isinstance(workflow, Workflow):
            name, ours, version = workflow.name, workflow.options, 0 if workflow.fn is not None else workflow.version
        elif isinstance(workflow, str):
            name, ours, version = workflow, None, 0
        else:
            name = getattr(workflow, "name", "…")
            call = f": await client.call({name}, …, request_id=…)" if isinstance(workflow, Agent) else ""
            raise TypeError(f"client.start takes a workflow, not {workflow!r}{call}")
        if options is not None and options.abandon_children is True:
            raise ValueError(
                f"{name}: abandon_children is an option of ctx.start only: "
                "a workflow that a client starts has no parent"
            )
        request = pb.StartWorkflowRequest(
            workflow_id=new_workflow_id(name) if id is None else id,
            definition=name,
            version=version,
            input=payload_fields(payload),
        )
        if ours is not None or options is not None:
            _set_options(request, resolve_start(ours, options))
        return request

    def _handle(self, id: str, created: bool, workflow: Target[..., O] | str) -> WorkflowHandle[O]:
        return WorkflowHandle(id, created, _output(workflow), self._nodes, self._parts()[1])

    @overload
    def handle(self, id: str, workflow: Workflow[Any, O], /) -> WorkflowHandle[O]: ...
    @overload
    def handle(self, id: str, /) -> WorkflowHandle[Any]: ...
    def handle(self, id: str, workflow: Workflow[Any, Any] | None = None, /) -> WorkflowHandle[Any]:
        """A handle of a workflow that was started elsewhere. No request is sent.

        Args:
            id: Its workflow id.
            workflow: Its definition, for the type of the result. Default: plain JSON.
        """
        return self._handle(id, False, workflow or "")

    async def call(self, agent: Agent[I, O], input: I, /, *, request_id: str, options: CallOptions | None = None) -> O:
        """Run one durable task without a workflow of your own, and return its result.

            facts = await client.call(extract, doc, request_id="mail-77")

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
        given: Any = agent
        if not isinstance(given, Agent):
            run = f": await client.run({given.name}, …)" if isinstance(given, Workflow) else ""
            raise TypeError(f"client.call takes an agent, not {given!r}{run}")
        retry, timeouts, selection = options_out(resolve(agent.options, options))
        request = pb.RunTaskRequest(
            request_id=request_id,
            capability=agent.name,
            input=payload_out(encoded(agent, (input,))),
            retry=retry,
            timeouts=timeouts,
            selection=selection,
            labels=dict(options.labels) if options is not None and options.labels else None,
            payload_format=common.PAYLOAD_FORMAT_RAW,
        )
        answer: pb.RunTaskResponse = await self._nodes.call("RunTask", request)
        awaiter = self._parts()[1]
        future = awaiter.wait(answer.workflow.workflow_id)
        try:
            output: Codec[O] = agent.output
            return outcome_of(await future, output)
        except WorkflowFailed as error:
            kind = CallTimedOut if error.failure.code is FailureCode.TIMEOUT else CallFailed
            raise kind(error.failure, agent.name) from None
        finally:
            awaiter.forget(answer.workflow.workflow_id, future)

    # ── look ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list(
        self,
        *,
        state: str | Collection[str] | None = None,
        definition: str | None = None,
        labels: Mapping[str, str] | None = None,
        started_after: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[WorkflowInfo]:
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
        states = [state] if isinstance(state, str) else state or ()
        request = pb.ListWorkflowsRequest(
            page_size=_PAGE if limit is None else min(_PAGE, limit),
            states=[_state(each, WorkflowState, "WORKFLOW_STATE_") for each in states],
            definition=definition or "",
            labels=labels,
            started_after=None if started_after is None else timestamp(int(started_after.timestamp() * 1000)),
        )
        given = 0
        while limit is None or given < limit:
            page: pb.ListWorkflowsResponse = await self._nodes.call("ListWorkflows", request)
            for workflow in page.workflows:
                yield WorkflowInfo.of(workflow)
                given += 1
                if given == limit:
                    return
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    # ── workflows as data ────────────────────────────────────────────────────────────────────────────────────────────

    async def put_definition(self, definition: Mapping[str, Any], /) -> Workflow[Any, Any]:
        """Store a workflow given as data, and return what starts this version of it.

            flow = await client.put_definition(json.loads(text))
            await client.run(flow, doc, id="audit-httpx")

        The same content again changes nothing.

        Args:
            definition: The definition as plain data, as a JSON or YAML parser gives it.

        Raises:
            AlreadyExists: This version is stored with other content. Raise `version`.
            InvalidRequest: The definition is wrong. `fields` has every problem with its path.
        """
        message, unread = definition_from_json(definition)
        if unread:  # no node is asked: what else is wrong is found here
            _, problems = declaration_from_json(definition)
            raise invalid_all([(f"definition.{path}".rstrip("."), words) for path, words in problems])
        answer: pb.PutDefinitionResponse = await self._nodes.call(
            "PutDefinition", pb.PutDefinitionRequest(definition=message)
        )
        return Workflow(answer.definition.name, ANY, ANY, version=answer.definition.version)

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def escalations(self, *, state: str = "OPEN", workflow_id: str | None = None) -> AsyncIterator[Escalation]:
        """Questions to humans, the earliest deadline first.

        Args:
            state: OPEN, RESOLVED, EXPIRED or WITHDRAWN. States other than OPEN need a `workflow_id`.
            workflow_id: Questions of this workflow only.

        Raises:
            ValueError: There is no such state.
        """
        request = pb.ListEscalationsRequest(
            page_size=_PAGE,
            workflow_id=workflow_id or "",
            state=_state(state, EscalationState, "ESCALATION_STATE_"),
        )
        while True:
            page: pb.ListEscalationsResponse = await self._nodes.call("ListEscalations", request)
            for escalation in page.escalations:
                yield Escalation.of(escalation)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def resolve(self, escalation_id: str, resolution: Resolution, /) -> None:
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
        request = pb.ResolveEscalationRequest(escalation_id=escalation_id, resolution=resolution.message)
        await self._nodes.call("ResolveEscalation", request)


def _with(config: Config, given: Mapping[str, str | None]) -> Config:
    """The configuration with what is given as an argument on top."""
    values = {name: parse_argument(name, value) for name, value in given.items() if value is not None}
    sources = {**config.sources, **dict.fromkeys(values, "argument")}
    return dataclasses.replace(config, **values, sources=sources)


def _state(word: str, names: Any, prefix: str) -> Any:
    """The contract's number of a word as people write it."""
    known = [name.removeprefix(prefix) for name in names.keys()[1:]]  # the first one means "not set"
    if word.upper() not in known:
        raise ValueError(f"there is no state {word!r}; there are: {', '.join(known)}")
    return names.Value(prefix + word.upper())


def _output(workflow: Target[..., O] | str) -> Codec[O]:
    return ANY if isinstance(workflow, str) else workflow.output


def _set_options(request: pb.StartWorkflowRequest, options: ResolvedStart) -> None:
    request.labels.update(options.labels)
    if options.timeout_ms is not None:
        request.timeout.CopyFrom(duration(options.timeout_ms))  # type: ignore[arg-type]  # it is set
    request.if_exists = _IF_EXISTS[options.if_exists]
    request.durability = _DURABILITY[options.durability]
