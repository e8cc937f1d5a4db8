# SPDX-License-Identifier: Apache-2.0
"""The contract itself, for programs that print it: method names and fields in, messages out.

    async with RawClient(config) as mesh:
        answer = await mesh.call("ListWorkflows", definition="review", states=["WORKFLOW_STATE_FAILED"])

The same addresses, metadata, retries and errors as `Client`, which is for programs that think in workflows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nervenet.client.nodes import Nodes
from nervenet.rpc.methods import METHODS

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from nervenet.config import Config
    from nervenet.rpc.methods import RpcMethod

__all__ = ["RawClient"]


class RawClient:
    """Contract messages in and out, for programs that print them. Connects at its first request.

    Args:
        config: Settings.
        longest: By method, the longest wait in seconds of a call that names none. With it, a call also ends as soon as a node
            says that Redis or etcd is away. None: there is no limit, and such calls are retried.
    """

    def __init__(self, config: Config, *, longest: Callable[[RpcMethod], float | None] | None = None) -> None:
        self.nodes = Nodes(config, ends_without_backend=longest is not None)
        self._longest = longest

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.nodes.close()

    async def call(
        self, method: str, request: Mapping[str, Any] | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> Any:
        """One unary call.

        Args:
            method: Name of the method in the contract (`GetWorkflow`).
            request: Fields of the request, for names that this method's own parameters take (`timeout`).
            timeout: Longest wait in seconds, retries included.
            fields: Fields of the request.

        Raises:
            RequestError: The mesh refused it.
            TimeoutError: `timeout` passed.
        """
        if timeout is None and self._longest is not None:
            timeout = self._longest(METHODS[method])
        return await self.nodes.call(method, _request(method, {**(request or {}), **fields}), timeout=timeout)

    def stream(self, method: str, /, **fields: Any) -> AsyncIterator[Any]:
        """The answers of a server stream. One try: the caller resumes.

        Args:
            method: Name of the method in the contract.
            fields: Fields of the request.
        """
        return self.nodes.stream(method, _request(method, fields))


def _request(method: str, fields: dict[str, Any]) -> Message:
    message: Message = METHODS[method].request(**fields)
    return message
