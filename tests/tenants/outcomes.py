# SPDX-License-Identifier: Apache-2.0
"""What a caller hears of a call, over gRPC and over HTTP, as text that can be compared with what it hears of another one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc.aio
import httpx
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2

from nervenet.config import Config
from nervenet.rpc.channels import Channel, metadata_of
from nervenet.rpc.methods import METHODS, RpcMethod
from tests.tenants.world import Belongings

LISTEN: Final = 0.8
"""Seconds for which a stream without an end is heard."""
_SHIFTING: Final = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z"  # times
    r"|(?<=\")\d+(?:\.\d+)?s(?=\")"  # durations
    r"|(?<=\"revision\": \")\d+|(?<=\"leaseId\": \")\d+|(?<=\"revision\":\")\d+|(?<=\"leaseId\":\")\d+"
    r"|(?<=\"seed\": \")[^\"]+"
    r"|[a-z]+-[a-z2-7]{8}\b"  # ids that were made for this answer
    r"|127\.0\.0\.1:\d+"
)


class Caller:
    """Calls in one namespace at one address. `things`: what the requests are about, which answers then call by its kind."""

    def __init__(self, config: Config, http: str) -> None:
        self._config = config
        self._http = http
        self._channel = Channel(config.address, config)

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def over_grpc(self, method: RpcMethod, request: Mapping[str, Any], things: Belongings) -> str:
        message = METHODS[method.name].request(**request)
        given: Any = iter_of(message) if method.streams_in else message
        call = self._channel[method.name](given, metadata=metadata_of(self._config), timeout=10)
        if not method.streams_out:
            try:
                return plain([MessageToDict(await call)], things)
            except grpc.aio.AioRpcError as error:
                return plain([_refusal(error)], things)
        heard: list[Any] = []
        try:
            async with asyncio.timeout(LISTEN):
                async for answer in call:
                    heard.append(MessageToDict(answer))  # noqa: PERF401  # what came before the end counts too
            heard.append("end")
        except TimeoutError:
            call.cancel()
        except grpc.aio.AioRpcError as error:
            heard.append(_refusal(error))
        return plain(heard, things)

    async def over_http(self, method: RpcMethod, request: Mapping[str, Any], things: Belongings) -> str:
        """The Connect protocol; of a stream, what comes within `LISTEN`."""
        body = json.dumps(MessageToDict(METHODS[method.name].request(**request))).encode()
        headers = {"nervenet-namespace": self._config.namespace, "content-type": "application/json"}
        if method.streams_out:
            headers["content-type"] = "application/connect+json"
            body = bytes(1) + len(body).to_bytes(4, "big") + body
        heard = b""
        async with httpx.AsyncClient(base_url=f"http://{self._http}", timeout=10) as client:
            try:
                async with (
                    asyncio.timeout(LISTEN if method.streams_out else 10),
                    client.stream("POST", method.path, content=body, headers=headers) as answer,
                ):
                    heard += f"{answer.status_code} ".encode()
                    async for part in answer.aiter_raw():
                        heard += part
            except TimeoutError:
                pass
        return plain([heard.decode(errors="replace")], things)


async def iter_of(message: Any) -> Any:
    """A stream of requests that has one, and stays open."""
    yield message
    await asyncio.sleep(LISTEN * 2)


def plain(heard: Sequence[Any], things: Belongings) -> str:
    """What was heard, with kinds in place of ids, and without times and what else differs from call to call."""
    text = json.dumps(heard, indent=1, ensure_ascii=False, sort_keys=True)
    for word, kind in things.words().items():
        text = text.replace(word, kind)
    text = re.sub(r"\"value\": \"[A-Za-z0-9+/=]{12,}\"|\\\"value\\\":\\\"[A-Za-z0-9+/=]{12,}\\\"", '"value"', text)
    return _SHIFTING.sub("…", text)


def _refusal(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    status = status_pb2.Status.FromString(
        dict([*(error.trailing_metadata() or ())]).get("grpc-status-details-bin", b"")
    )
    details = []
    for packed in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            found = kind()
            if packed.Unpack(found):
                details.append({kind.DESCRIPTOR.name: MessageToDict(found)})
    return {"code": error.code().name, "message": error.details(), "details": details}
