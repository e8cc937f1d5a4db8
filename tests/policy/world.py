# SPDX-License-Identifier: Apache-2.0
"""A node that asks everybody for a certificate, and callers with certificates of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from nervenet.client.raw import RawClient
from nervenet.node.node import Node
from nervenet.rpc.methods import METHODS
from nervenet.rpc.status import error_of
from tests.gateway.app import mesh
from tests.gateway.world import Speaker, Stream
from tests.support.certificates import Authority, Issued
from tests.support.nodes import NodesHere
from tests.support.waiting import DEADLINE, until


class GuardedMesh(NodesHere):
    """One namespace. `caller` names who calls: "viewer" has the certificate spiffe://test/nervenet/viewer."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str, folder: Path) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)
        self.authority = Authority(folder / "ca")
        self.folder = folder
        self._issued: dict[str, Issued] = {}

    def issued(self, caller: str) -> Issued:
        """The certificate of a caller: with a role of this name in the built-in policy, or without one."""
        if caller not in self._issued:
            san = f"URI:spiffe://test/nervenet/{caller},IP:127.0.0.1"
            self._issued[caller] = self.authority.issue(caller.replace("/", "-"), san=san)
        return self._issued[caller]

    def settings(self, caller: str) -> dict[str, Any]:
        ca, cert, key = map(str, self.issued(caller))
        return {"tls": ca, "tls_cert": cert, "tls_key": key}

    def write_policy(self, text: str) -> Path:
        path = self.folder / "policy.yaml"
        path.write_text(text)
        return path

    async def guarded(self, policy: str = "", **settings: Any) -> Node:
        """A node, with its own certificate."""
        if policy:
            settings["policy"] = self.write_policy(policy)
        return await self.node(**self.settings("node"), **settings)

    async def by(self, caller: str, node: Node | None = None, **more: Any) -> RawClient:
        """Calls of a caller."""
        return await self.raw(node or self.nodes[0], **self.settings(caller), **more)

    def tls(self, caller: str) -> grpc.ChannelCredentials:
        issued = self.issued(caller)
        return grpc.ssl_channel_credentials(issued.ca.read_bytes(), issued.key.read_bytes(), issued.cert.read_bytes())

    def stream(self, caller: str) -> Stream:
        """A Connect stream by hand."""
        return Stream(self.nodes[0].address, tls=self.tls(caller))

    async def talk(self, caller: str, method: str, requests: Sequence[Any] | AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The answers to a stream of requests. Raises RequestError."""
        rpc = METHODS[method]
        async with grpc.aio.secure_channel(self.nodes[0].address, self.tls(caller)) as channel:
            call = channel.stream_stream(
                rpc.path,
                request_serializer=rpc.request.SerializeToString,
                response_deserializer=rpc.answer.FromString,
            )(iter(requests) if isinstance(requests, Sequence) else requests, timeout=DEADLINE)
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise error_of(error, self.nodes[0].address) from None

    async def speaker(self, caller: str, handlers: dict[str, Any], **more: Any) -> Speaker:
        speaker = Speaker(lambda: [self.nodes[0].address], handlers, tls=self.tls(caller), **more)
        return await self.stack.enter_async_context(speaker)


def audited(path: Path) -> list[dict[str, Any]]:
    """The lines of an audit log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def audit_has(path: Path, **wanted: Any) -> dict[str, Any]:
    """The first line with these fields, which may be on its way."""

    def found() -> dict[str, Any] | None:
        fitting = (line for line in audited(path) if all(line.get(name) == value for name, value in wanted.items()))
        return next(fitting, None)

    await until(lambda: found() is not None)
    line = found()
    assert line is not None
    return line
