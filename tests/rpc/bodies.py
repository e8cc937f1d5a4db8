# SPDX-License-Identifier: Apache-2.0
"""What 6 MB of empty starts do to a node's memory, without the token and with it.

python -m tests.rpc.bodies --calls 60
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio

from nervenet.rpc.status import error_of
from tests.support.environment import resident_bytes
from tests.support.mesh import STORIES, mesh_alone
from tests.support.processes import NervenetProcess
from tests.support.torture import command_line

START = "/nervenet.v1.CoordinatorService/StartWorkflow"
STARTS = "/nervenet.v1.CoordinatorService/StartWorkflows"
TOKEN = "s3cret"
ALLOWED = (("authorization", f"Bearer {TOKEN}"),)
EMPTY_STARTS = b"\x0a\x00" * 3_000_000
EMPTY_LABELS = b"\x2a\x00" * 3_000_000
NOTHINGS = b"\x0a\x00" * 2_990_000
"""Values of a list in a payload."""


def field(number: int, content: bytes) -> bytes:
    """A field of a message, as it is on the wire."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2,)) + bytes(length) + bytes((size,)) + content


LARGE: Sequence[tuple[str, bytes]] = (
    (STARTS, EMPTY_STARTS),
    (START, EMPTY_LABELS),
    (START, field(4, field(2, field(6, NOTHINGS)))),  # input.value.list_value
)


def resident(process: NervenetProcess) -> float:
    """MB of a process that are in RAM."""
    return resident_bytes(process.pid) / 1e6


async def send(
    address: str, bodies: Sequence[tuple[str, bytes]], metadata: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    """One after the other; what the node said to them."""
    told = set()
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        for method, body in bodies:
            ask: Any = channel.unary_unary(method)
            try:
                await ask(body, metadata=metadata, timeout=30)
                told.add(("OK", ""))
            except grpc.aio.AioRpcError as error:
                found = error_of(error, address)
                told.add((found.code, found.reason))
    return told


def main() -> None:
    calls = command_line(__doc__, calls=60).parse_args().calls
    with mesh_alone(STORIES) as host:
        (node,) = host.up(host.node(NERVENET_TOKEN=TOKEN))
        for words, metadata in (("without the token", ()), ("with it", ALLOWED)):
            before = resident(node)
            told = asyncio.run(send(node.address, [LARGE[n % len(LARGE)] for n in range(calls)], metadata))
            print(f"{calls} calls {words}: {before:.0f} → {resident(node):.0f} MB, told {sorted(told)}")


if __name__ == "__main__":
    main()
