# SPDX-License-Identifier: Apache-2.0
"""Nodes that serve HTTP, called with a real HTTP client: what the tests of the HTTP door stand on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from tests.services.world import World

JSON, PROTO = "application/json", "application/proto"
COORDINATOR, REGISTRY, AGENTS = (f"/nervenet.v1.{name}Service" for name in ("Coordinator", "Registry", "Agent"))


class HttpWorld(World):
    """Nodes that run the workflows of the tests of services."""

    async def http(self, headers: dict[str, str] | None = None, **settings: Any) -> httpx.AsyncClient:
        """A client of a new node that serves HTTP at a free port."""
        node = await self.node(**{"http": "127.0.0.1:0", **settings})
        return await self.at(node.http, headers)

    async def at(self, address: str | None, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=f"http://{address}", headers=headers, timeout=20, trust_env=False)
        return await self.stack.enter_async_context(client)


async def call(http: httpx.AsyncClient, path: str, request: Any = None, **headers: str) -> httpx.Response:
    """A unary call with JSON."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await http.post(path, content=json.dumps(request or {}), headers={"content-type": JSON, **named})


def told(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and reason of a refusal."""
    error = answer.json()
    assert set(error) == {"code", "message", "details"}, error
    assert "Traceback" not in answer.text
    return answer.status_code, error["code"], reason_of(error)


def reason_of(error: dict[str, Any]) -> str:
    return str(error["details"][0]["debug"].get("reason", ""))


def tasks_of_streams() -> int:
    """Tasks of this process that serve streams: of the HTTP door, and of the watchers of workflows."""
    codes = [getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()]
    files = [code.co_filename for code in codes if code is not None]
    return sum("/nervenet/http/" in file or file.endswith("/services/watches.py") for file in files)


def envelope(data: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + len(data).to_bytes(4, "big") + data


def envelopes(body: bytes) -> list[tuple[int, bytes]]:
    """Flags and message of each envelope."""
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append((body[0], body[5 : 5 + size]))
        assert len(found[-1][1]) == size
        body = body[5 + size :]
    return found


class Event(NamedTuple):
    name: str
    id: str
    data: Any


class Events:
    """A stream of server-sent events, one after the other."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self, within: float = 20) -> Event | None:
        """The next event. None: the stream is over."""
        name = number = data = ""
        async with asyncio.timeout(within):
            async for line in self._lines:
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    number = value
                elif field == "data":
                    data = value
                elif not line and data:
                    return Event(name, number, json.loads(data))
        return None

    async def rest(self) -> list[Event]:
        """All to the end of the stream."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def watching(http: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Events]:
    async with http.stream("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Events(answer)


@asynccontextmanager
async def live(http: httpx.AsyncClient, reads: Any, every: float = 1) -> AsyncIterator[Events]:
    async with http.stream("POST", "/live", json={"every": every, "reads": reads}) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Events(answer)
