# SPDX-License-Identifier: Apache-2.0
"""A server behind a guard, over gRPC and over HTTP, without a mesh: what it tells callers is what its identity decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx

from nervenet.config import Config
from nervenet.errors import RequestError, Unavailable
from nervenet.http.server import HttpServer
from nervenet.rpc.channels import Channel
from nervenet.rpc.guard import Rules
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.status import error_of
from nervenet.security import Caller, current_call
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.support.waiting import until

GET = "/nervenet.v1.CoordinatorService/GetWorkflow"
WATCH = "/live/workflows/w"


class Scripted:
    """A servicer that remembers who called."""

    def __init__(self) -> None:
        self.served: list[Caller] = []

    async def GetWorkflow(self, request: Any, context: Any) -> Any:
        self.served.append(current_call().caller)
        return pb.GetWorkflowResponse()

    async def WatchWorkflow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """One answer, then none."""
        self.served.append(current_call().caller)
        yield pb.WatchWorkflowResponse()
        await asyncio.Event().wait()


class Serving:
    """`async with Serving(token="s3cret") as serving`: a server with these settings, and calls to it.

    A call tells what came of it: "OK", or the status and the reason.
    """

    def __init__(self, rules: Rules | None = None, **settings: Any) -> None:
        self.rules = rules
        self.settings = settings
        self.servicer = Scripted()

    async def __aenter__(self) -> Serving:
        config = Config.load(environ={}, listen="127.0.0.1:0", http="127.0.0.1:0", **self.settings)
        services = [Service("nervenet.v1.CoordinatorService", self.servicer)]
        self.server = await GrpcServer.start(config, "node", services, asyncio.Event(), rules=self.rules)
        self.http = await HttpServer.start(config, self.server.guard)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.http.stop(0.1)
        await self.server.stop(0)

    async def over_grpc(self, token: str | None, **settings: Any) -> str:
        channel = Channel(self.server.address, Config.load(environ={}, **settings))
        try:
            await channel["GetWorkflow"](pb.GetWorkflowRequest(workflow_id="w"), timeout=10, metadata=header(token))
        except grpc.aio.AioRpcError as error:
            return said(error_of(error, "it"))
        finally:
            await channel.close()
        return "OK"

    async def over_http(self, token: str | None, **client: Any) -> str:
        scheme = "https" if "verify" in client else "http"
        async with httpx.AsyncClient(trust_env=False, **client) as http:
            url = f"{scheme}://{self.http.address}{GET}"
            answer = await http.post(url, json={"workflowId": "w"}, headers=dict(header(token)))
        if answer.status_code == 200:
            return "OK"
        found = answer.json()
        return f"{found['code'].upper()} {found['details'][0]['debug']['reason']}"

    async def over_both(self, token: str | None) -> str:
        """What both say; the same, or it is told."""
        grpc_says, http_says = await self.over_grpc(token), await self.over_http(token)
        return grpc_says if grpc_says == http_says else f"gRPC: {grpc_says}, HTTP: {http_says}"

    async def watch_grpc(self, token: str | None, heard: asyncio.Event) -> str:
        """A stream, to its end."""
        channel = Channel(self.server.address, Config.load(environ={}))
        try:
            call = channel["WatchWorkflow"](pb.WatchWorkflowRequest(workflow_id="w"), metadata=header(token))
            async for _ in call:
                heard.set()
        except grpc.aio.AioRpcError as error:
            return said(error_of(error, "it"))
        finally:
            await channel.close()
        return "OK"

    async def watch_http(self, token: str | None, heard: asyncio.Event, path: str = WATCH, **body: Any) -> list[str]:
        """A stream of events, to its end: their names, and the reason of an error."""
        names = []
        method = "POST" if body else "GET"
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
            http.stream(
                method, f"http://{self.http.address}{path}", headers=dict(header(token)), json=body or None
            ) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                heard.set()
                if line.startswith("event: "):
                    names.append(line.removeprefix("event: "))
                if "debug" in line:
                    found = json.loads(line.removeprefix("data: "))
                    names.append(f"{found['code'].upper()} {found['details'][0]['debug']['reason']}")
        return names

    async def until(self, token: str, wanted: str) -> None:
        async def is_so() -> bool:
            return await self.over_both(token) == wanted

        await until(is_so, f"a call is answered {wanted}")


def header(token: str | None) -> list[tuple[str, str]]:
    return [] if token is None else [("authorization", f"Bearer {token}")]


def said(error: RequestError | Unavailable) -> str:
    return f"{error.code} {error.reason}"
