# SPDX-License-Identifier: Apache-2.0
"""The contract itself, for programs that print it: method names and fields in, messages out.

    async with RawClient(config) as mesh:
        answer = await mesh.call("ListWorkflows", definition="review", states=["WORKFLOW_STATE_FAILED"])

The same addresses, metadata, retries and errors as `Client`, which is for programs that think in workflows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nervenet.client.nodes import Nodes
from nervenet.rpc.methods import METHODS

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from nervenet.config import Config

__all__ = ["RawClient"]


class RawClient:
    """Contract messages in and out, for programs that print them. Connects at its first request.

    Args:
        config: Settings.
    """

    def __init__(self, config: Config) -> None:
        self.nodes = Nodes(config)

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
            timeout: Longest wait in seconds.
            fields: Fields of the request.

        Raises:
            RequestError: The mesh refused it.
            TimeoutError: `timeout` passed.
        """
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
