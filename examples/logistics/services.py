# SPDX-License-Identifier: Apache-2.0
"""How agents reach the two services outside of the mesh: the carrier's, and the one that sends messages to customers.

One connection carries all requests of a process, each with a number. Your own code would use the client library of your provider here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from .models import Order

SERVICES: Final = "LOGISTICS_SERVICES"
ORDERS: Final = "LOGISTICS_ORDERS"


class Services:
    """`await services.ask("send", key, …)`: the answer of a service outside."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, what: str, key: str, **content: Any) -> Any:
        """Send a request. `key` is the same when a request is repeated, so that it has its effect once."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        request = {"number": number, "what": what, "key": key, "at": time.time(), **content}
        self._writer.write(json.dumps(request).encode() + b"\n")
        try:
            return await answer
        finally:
            del self._waiting[number]

    async def listen(self) -> None:
        """Pass the answers on until the connection ends. Those that nobody awaits any longer are dropped."""
        while line := await self._reader.readline():
            answer = json.loads(line)
            waiting = self._waiting.get(answer["number"])
            if waiting is not None and not waiting.done():
                waiting.set_result(answer["value"])
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the service has closed the connection"))


@asynccontextmanager
async def services_at(address: str) -> AsyncGenerator[Services]:
    """One connection to them."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    found = Services(reader, writer)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        listening.cancel()
        writer.close()


@asynccontextmanager
async def services() -> AsyncGenerator[Services]:
    """One connection for the life of the agent's process."""
    async with services_at(os.environ[SERVICES]) as found:
        yield found


@asynccontextmanager
async def order_table() -> AsyncGenerator[dict[str, Order]]:
    """The orders by tracking number. Yours are in a database."""
    from .generate import read_orders  # only the process that serves `route` needs it

    yield read_orders(os.environ[ORDERS])
