# SPDX-License-Identifier: Apache-2.0
"""All awaited results of a client arrive on one AwaitWorkflows stream.

The stream is opened when something is awaited. When it breaks, it is opened again at another node, with everything that is
still awaited. A node that ends the stream without an error is stopping: the client uses another node then, too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nervenet.client.nodes import Retry
from nervenet.errors import RequestError, Unavailable, WorkflowBlocked
from nervenet.grpc_import import grpc
from nervenet.rpc.status import not_found
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2

if TYPE_CHECKING:
    from nervenet.client.nodes import Nodes

__all__ = ["Awaiter"]

_MOST_IDS = 1_000


def blocked_error(workflow: workflow_pb2.Workflow) -> WorkflowBlocked:
    """The error for a BLOCKED workflow, with its cause in a line."""
    why = workflow.blocked
    if why.error or not (why.expected or why.found):
        cause = why.error or why.detail.partition("\n")[0]
    else:
        cause = f"its journal has {why.expected}, its code asks for {why.found}"
    return WorkflowBlocked(workflow.workflow_id, why.where, cause, why.detail)


class Awaiter:
    """The awaited results of one client."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[str, list[asyncio.Future[workflow_pb2.Workflow]]] = {}
        self._patient: set[asyncio.Future[workflow_pb2.Workflow]] = set()
        self._blocked: set[str] = set()
        """Awaited workflows of which the node has told that they are BLOCKED."""
        self._to_tell: list[str] = []
        self._to_forget: list[str] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it awaits nothing."""
        return not self._awaited

    def __repr__(self) -> str:
        return f"<Awaiter of {len(self._awaited)} workflows>"

    def wait(self, workflow_id: str, *, while_blocked: bool = False) -> asyncio.Future[workflow_pb2.Workflow]:
        """A future of the closed workflow: id, run, state, output or failure. Cancel it to stop waiting.

        It raises WorkflowBlocked when the workflow is BLOCKED, except with `while_blocked`.
        """
        future: asyncio.Future[workflow_pb2.Workflow] = self._loop.create_future()
        if while_blocked:
            self._patient.add(future)
            future.add_done_callback(self._patient.discard)
        self.follow(workflow_id, future)
        return future

    def follow(self, workflow_id: str, future: asyncio.Future[workflow_pb2.Workflow]) -> None:
        """`wait` for a caller that has its future already."""
        waiting = self._awaited.get(workflow_id)
        if waiting is not None:
            waiting.append(future)
            if workflow_id in self._blocked and future not in self._patient:  # is it still? the node tells it once
                self._blocked.discard(workflow_id)
                self._to_forget.append(workflow_id)
                self._to_tell.append(workflow_id)
                self._news.set()
        else:
            self._awaited[workflow_id] = [future]
            self._to_tell.append(workflow_id)
            self._news.set()
            if self._task is None or self._task.done():
                self._task = self._loop.create_task(self._run(), name="awaited workflows")

    def forget(self, workflow_id: str, future: asyncio.Future[workflow_pb2.Workflow]) -> None:
        """The caller no longer needs this future."""
        waiting = self._awaited.get(workflow_id)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                self._stop_waiting(workflow_id)

    def _stop_waiting(self, workflow_id: str) -> None:
        del self._awaited[workflow_id]
        self._blocked.discard(workflow_id)
        self._to_forget.append(workflow_id)
        self._news.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        for waiting in self._awaited.values():
            for future in waiting:
                future.cancel()

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        retry = Retry(self._nodes)
        while True:
            try:
                await self._converse(retry)
                await retry.pause(Unavailable("the node ended the stream", code="UNAVAILABLE"))
            except Unavailable as error:
                if not self._awaited:
                    return
                try:
                    await retry.pause(error)
                except RequestError as last:
                    self._fail(last)
                    return
            except Exception as error:  # noqa: BLE001  # every caller that waits gets the error
                self._fail(error)
                return

    async def _converse(self, retry: Retry) -> None:
        """Use one stream until it breaks. Raises RequestError."""
        channel = self._nodes.channel()
        self._to_tell, self._to_forget = list(self._awaited), []
        call = channel["AwaitWorkflows"](metadata=self._nodes.metadata())
        writing = self._loop.create_task(self._write(call))
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                self._nodes.answered = True
                retry.answered()
                self._resolve(self._nodes.encoding.decoded(answer))
            self._nodes.turn(channel)
        except grpc.aio.AioRpcError as error:
            found = self._nodes.translated(error, channel)
            raise Unavailable(str(found), code="UNAVAILABLE") if isinstance(found, TimeoutError) else found from None
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.wait((writing,))
            if not writing.cancelled():
                writing.exception()  # a broken stream breaks here too; the reader tells

    async def _write(self, call: Any) -> None:
        first = True
        while True:
            while self._to_tell or self._to_forget or first:
                ids, self._to_tell = self._to_tell[:_MOST_IDS], self._to_tell[_MOST_IDS:]
                forget, self._to_forget = self._to_forget[:_MOST_IDS], self._to_forget[_MOST_IDS:]
                await call.write(
                    pb.AwaitWorkflowsRequest(
                        workflow_ids=ids, forget_workflow_ids=forget, payload_format=common.PAYLOAD_FORMAT_RAW
                    )
                )
                first = False
            self._news.clear()
            await self._news.wait()

    def _resolve(self, answer: pb.AwaitWorkflowsResponse) -> None:
        for workflow in answer.blocked_workflows:
            self._tell_blocked(workflow)
        for workflow in answer.workflows:
            self._blocked.discard(workflow.workflow_id)
            for future in self._awaited.pop(workflow.workflow_id, ()):
                if not future.done():
                    future.set_result(workflow)
        for workflow_id in answer.unknown_workflow_ids:
            for future in self._awaited.pop(workflow_id, ()):
                if not future.done():
                    future.set_exception(not_found("workflow", workflow_id, namespace=self._nodes.namespace))

    def _tell_blocked(self, workflow: workflow_pb2.Workflow) -> None:
        waiting = self._awaited.get(workflow.workflow_id)
        if waiting is None:
            return
        self._blocked.add(workflow.workflow_id)
        for future in [future for future in waiting if future not in self._patient]:
            waiting.remove(future)
            if not future.done():
                future.set_exception(blocked_error(workflow))
        if not waiting:
            self._stop_waiting(workflow.workflow_id)

    def _fail(self, error: Exception) -> None:
        awaited, self._awaited = self._awaited, {}
        for waiting in awaited.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
