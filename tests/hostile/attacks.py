# SPDX-License-Identifier: Apache-2.0
"""Each attack opens connections to an address, does its worst, and returns them open: what the node closes is for the test to see."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from tests.hostile.frames import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    call_headers,
    frame,
    message,
    packed,
    settings,
)

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Attack: TypeAlias = Callable[[str, int, random.Random], Awaitable[list[Connection]]]
GET: Final = call_headers("/nervenet.v1.CoordinatorService/GetWorkflow")
HEALTH: Final = call_headers("/grpc.health.v1.Health/Check")
HALF_OPEN: Final = 500
MANY: Final = 200
LARGE_BODY: Final = 6_000_000
"""Bytes of a message that a node takes."""


async def _each(host: str, port: int, count: int, *parts: bytes) -> list[Connection]:
    """Connections that send these parts, as far as the node takes them."""
    found = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(host, port)
        found.append((reader, writer))
        await _send(writer, *parts)
    return found


async def _send(writer: asyncio.StreamWriter, *parts: bytes) -> None:
    try:
        for part in parts:
            writer.write(part)
            await asyncio.wait_for(writer.drain(), 5)
    except (OSError, TimeoutError):  # the node has closed it, or reads no further
        pass


async def says_nothing(host: str, port: int, chance: random.Random) -> list[Connection]:
    return await _each(host, port, HALF_OPEN)


async def stops_in_its_first_line(host: str, port: int, chance: random.Random) -> list[Connection]:
    return await _each(host, port, HALF_OPEN, PREFACE[: chance.randrange(1, len(PREFACE))])


async def sends_garbage(host: str, port: int, chance: random.Random) -> list[Connection]:
    found = []
    for size in (1, 24, 1_000, 100_000):
        found += await _each(host, port, 10, chance.randbytes(size))
    return found


async def speaks_http_1(host: str, port: int, chance: random.Random) -> list[Connection]:
    return await _each(host, port, 20, b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", b"x" * 10_000)


async def sends_frames_that_are_too_long(host: str, port: int, chance: random.Random) -> list[Connection]:
    long = frame(DATA, 0, 1, b"x" * 100_000, length=(1 << 24) - 1)
    return await _each(host, port, 20, PREFACE, settings(), frame(HEADERS, END_HEADERS, 1, GET), *[long] * 20)


async def sends_a_message_of_four_gigabytes(host: str, port: int, chance: random.Random) -> list[Connection]:
    begins = b"\0\xff\xff\xff\xff" + b"x" * 16_000
    opening = (PREFACE, settings(), frame(HEADERS, END_HEADERS, 1, GET))
    return await _each(host, port, 20, *opening, *[frame(DATA, 0, 1, begins)] * 200)


async def sends_large_bodies_that_do_not_end(host: str, port: int, chance: random.Random) -> list[Connection]:
    """200 messages of 6 MB at once, each without its last bytes: 1.2 GB in all."""
    opening = (PREFACE, settings(), frame(HEADERS, END_HEADERS, 1, GET))
    begins = b"\0" + struct.pack(">I", LARGE_BODY) + b"x" * 16_000
    parts = [frame(DATA, 0, 1, begins), *[frame(DATA, 0, 1, b"x" * 16_000)] * (LARGE_BODY // 16_000 - 1)]
    found = [await asyncio.open_connection(host, port) for _ in range(MANY)]
    await asyncio.gather(*(_send(writer, *opening, *parts) for _, writer in found))
    return found


async def sends_headers_without_end(host: str, port: int, chance: random.Random) -> list[Connection]:
    """CVE-2024-27316 and its like: CONTINUATION frames, and the last one never comes."""
    more = frame(CONTINUATION, 0, 1, packed([("x-more", "y" * 16_000)]))
    return await _each(host, port, 20, PREFACE, settings(), frame(HEADERS, 0, 1, GET), *[more] * 300)


async def sends_large_headers(host: str, port: int, chance: random.Random) -> list[Connection]:
    large = GET + packed((f"x-{i}", "y" * 8_000) for i in range(2))
    return await _each(
        host, port, 20, PREFACE, settings(), *(frame(HEADERS, END_HEADERS, 1 + 2 * i, large) for i in range(50))
    )


async def resets_rapidly(host: str, port: int, chance: random.Random) -> list[Connection]:
    """CVE-2023-44487: a call is begun and taken back at once, thousands of times."""
    opening = PREFACE + settings()
    streams = range(1, 20_001, 2)
    parts = [frame(HEADERS, END_HEADERS, i, GET) + frame(RST_STREAM, 0, i, CANCEL) for i in streams]
    batches = [b"".join(parts[i : i + 200]) for i in range(0, len(parts), 200)]
    return await _each(host, port, 5, opening, *batches)


async def begins_calls_and_stops(host: str, port: int, chance: random.Random) -> list[Connection]:
    begun = b"".join(frame(HEADERS, END_HEADERS, i, GET) for i in range(1, 2_001, 2))
    return await _each(host, port, 10, PREFACE + settings(), begun)


async def floods_with_pings(host: str, port: int, chance: random.Random) -> list[Connection]:
    many = frame(PING, body=b"12345678") * 1_000 + frame(SETTINGS) * 1_000
    return await _each(host, port, 10, PREFACE + settings(), *[many] * 20)


async def reads_no_answer(host: str, port: int, chance: random.Random) -> list[Connection]:
    """It asks thousands of times, and its window takes none of the answers."""
    asked = [frame(HEADERS, END_HEADERS, i, HEALTH) + frame(DATA, 1, i, message(b"")) for i in range(1, 4_001, 2)]
    return await _each(host, port, 10, PREFACE + settings(INITIAL_WINDOW=0), *asked)


GRPC: Final[tuple[Attack, ...]] = (
    says_nothing,
    stops_in_its_first_line,
    sends_garbage,
    speaks_http_1,
    sends_frames_that_are_too_long,
    sends_a_message_of_four_gigabytes,
    sends_headers_without_end,
    sends_large_headers,
    resets_rapidly,
    begins_calls_and_stops,
    floods_with_pings,
    reads_no_answer,
    sends_large_bodies_that_do_not_end,
)


async def stops_in_its_headers(host: str, port: int, chance: random.Random) -> list[Connection]:
    return await _each(host, port, HALF_OPEN, b"POST /live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


async def sends_headers_of_megabytes(host: str, port: int, chance: random.Random) -> list[Connection]:
    return await _each(
        host, port, 20, b"GET / HTTP/1.1\r\nHost: localhost\r\n", *[b"X: " + b"y" * 60_000 + b"\r\n"] * 50
    )


async def sends_large_http_bodies_that_do_not_end(host: str, port: int, chance: random.Random) -> list[Connection]:
    head = b"POST /nervenet.v1.CoordinatorService/ListWorkflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % LARGE_BODY
    found = [await asyncio.open_connection(host, port) for _ in range(MANY)]
    parts = [b"x" * 60_000] * (LARGE_BODY // 60_000)
    await asyncio.gather(*(_send(writer, head, *parts[:-1]) for _, writer in found))
    return found


async def stops_in_its_body(host: str, port: int, chance: random.Random) -> list[Connection]:
    head = b"POST /nervenet.v1.CoordinatorService/ListWorkflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return await _each(host, port, 100, head + b"Content-Length: 100000\r\n\r\n{")


HTTP: Final[tuple[Attack, ...]] = (
    says_nothing,
    sends_garbage,
    stops_in_its_headers,
    sends_headers_of_megabytes,
    stops_in_its_body,
    sends_large_http_bodies_that_do_not_end,
)
