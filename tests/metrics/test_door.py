# SPDX-License-Identifier: Apache-2.0
"""The page's server refuses everything but one short GET, and stays there for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from nervenet.errors import ConfigError
from nervenet.metrics import Registry, catalog
from nervenet.metrics.door import FRESH_FOR, LONGEST_REQUEST, MOST_CONNECTIONS, REQUEST_WITHIN, Door
from tests.metrics.world import fetched, samples
from tests.support.waiting import until


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door.open("127.0.0.1:0") as door:
        registry = Registry("node")
        registry.read(catalog.NODE_LIMIT, lambda: 7)
        door.show(registry)
        yield door


async def test_it_shows_the_page(door: Door) -> None:
    for request in (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n",
        b"GET /metrics?name[]=a HTTP/1.0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ):
        status, fields, page = await fetched(door.address, request)
        assert (status, fields["Connection"], int(fields["Content-Length"])) == (200, "close", len(page))
        assert samples(page)["nervenet_node_workflows_limit"][0].value == 7


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /metrics/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://elsewhere/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\nHost: x\n\r\n\r\n", 400),
        (b"GET /metr\x00ics HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nA: " + b"x" * LONGEST_REQUEST + b"\r\n\r\n", 431),
        (b"G" * (LONGEST_REQUEST + 1), 431),
    ],
)
async def test_it_refuses_rubbish(door: Door, request_: bytes, status: int) -> None:
    found, fields, body = await fetched(door.address, request_)
    assert found == status
    assert fields["Connection"] == "close"
    assert "nervenet" not in body
    assert (await fetched(door.address))[0] == 200


async def test_a_slow_request_ends(door: Door) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    status, _, _ = await fetched(door.address, b"GET /metrics HT")
    assert status == 408
    assert REQUEST_WITHIN - 0.5 < loop.time() - began < REQUEST_WITHIN + 3


async def test_only_so_many_connections_and_they_free_their_places(door: Door) -> None:
    host, port = door.address.rsplit(":", 1)
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(MOST_CONNECTIONS)]
    await until(lambda: len(door.connections) == MOST_CONNECTIONS)
    assert (await fetched(door.address))[0] == 503
    for _, writer in idle:
        writer.close()
    await until(lambda: not door.connections)
    assert (await fetched(door.address))[0] == 200


async def test_a_reader_that_does_not_read_is_cut(door: Door) -> None:
    registry = Registry("agent")
    registry.read(catalog.QUEUE_DEPTH, lambda: {(f"{at:0>100}",): 1.0 for at in range(500)})
    door.show(registry)
    host, port = door.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: not door.connections, within=REQUEST_WITHIN + 10)
    writer.close()
    del reader


async def test_many_requests_make_one_page(door: Door) -> None:
    made = 0
    registry = Registry("agent")

    def read() -> float:
        nonlocal made
        made += 1
        return made

    registry.read(catalog.SLOTS, read)
    door.show(registry)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(50):
        assert (await fetched(door.address))[0] == 200
    assert made <= 1 + (loop.time() - began) / FRESH_FOR
    await asyncio.sleep(FRESH_FOR)
    before = made
    await fetched(door.address)
    assert made == before + 1


async def test_an_address_that_is_taken_is_a_wrong_setting(door: Door) -> None:
    with pytest.raises(ConfigError, match="in use"):
        async with Door.open(door.address):
            pass
    with pytest.raises(ConfigError):
        async with Door.open("no-such-host.invalid:0"):
            pass
