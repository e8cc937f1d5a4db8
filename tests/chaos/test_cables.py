# SPDX-License-Identifier: Apache-2.0
"""A cable breaks as networks do: a cut resets and refuses, a stall only waits, late bytes stay in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.tcp_proxy import TcpProxy


@asynccontextmanager
async def echo() -> AsyncIterator[TcpProxy]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    cable = TcpProxy(server.sockets[0].getsockname()[1])
    await cable.listen()
    try:
        yield cable
    finally:
        cable.cut()
        server.close()


async def test_what_goes_in_comes_out_also_when_it_is_much() -> None:
    async with echo() as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        sent = bytes(range(256)) * 20_000
        writer.write(sent)
        async with asyncio.timeout(20):
            assert await reader.readexactly(len(sent)) == sent
        writer.close()


async def test_a_cut_resets_and_refuses_until_it_is_mended() -> None:
    async with echo() as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"a")
        await reader.readexactly(1)
        cable.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", cable.port)
        await cable.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"b")
        assert await reader.readexactly(1) == b"b"
        writer.close()


async def test_a_stall_breaks_nothing_and_what_was_held_comes_in_order() -> None:
    async with echo() as cable:
        old_reader, old = await asyncio.open_connection("127.0.0.1", cable.port)
        old.write(b"1")
        await old_reader.readexactly(1)
        cable.stall()
        new_reader, new = await asyncio.open_connection("127.0.0.1", cable.port)
        old.write(b"23")
        new.write(b"x")
        held = asyncio.gather(old_reader.readexactly(2), new_reader.readexactly(1))
        done, _ = await asyncio.wait([held], timeout=0.3)
        assert not done
        await cable.mend()
        async with asyncio.timeout(10):
            assert list(await held) == [b"23", b"x"]
        for writer in (old, new):
            writer.close()


async def test_a_lag_keeps_the_order_also_when_it_ends() -> None:
    async with echo() as cable:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"0")
        await reader.readexactly(1)
        cable.lag = 0.2
        begun = time.monotonic()
        writer.write(b"1")
        await asyncio.sleep(0.05)
        await cable.mend()
        writer.write(b"2")
        assert await reader.readexactly(2) == b"12"
        assert time.monotonic() - begun > 0.15
        writer.close()
