# SPDX-License-Identifier: Apache-2.0
"""TLS in front of a server that has none, as a process: what stunnel or a mesh's sidecar is to a Redis.

    python -m tests.transport.tls_front TARGET_PORT CERT KEY [CA]      # prints its port once it listens

The Valkey that comes as a wheel is built without TLS. Where the Redis on PATH speaks TLS, the tests use that instead. It reads
its files at each handshake.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress


def context(cert: str, key: str, ca: str = "") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert, key)
    if ca:
        made.load_verify_locations(ca)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


async def main(target: int, *files: str) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    def choose(connection: ssl.SSLObject, name: str | None, outer: ssl.SSLContext) -> None:
        connection.context = context(*files)

    first = context(*files)
    first.sni_callback = choose
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=first)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
