# SPDX-License-Identifier: Apache-2.0
"""The services outside of the mesh, in one process: carriers that say how late they are, and a sender of messages.

    python -m examples.logistics.outside PORT FAULTS LEDGER

Both write each request to LEDGER (JSON lines) before they answer. The mesh cannot change that file, so it proves what was done, and how often.
A message with a key that was seen before is not sent again. The carrier does not answer the first request about some updates (FAULTS).
A carrier takes 20 to 200 ms to answer, the sender of messages 20 to 80 ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from pathlib import Path
from typing import Any, Final, TextIO

from .generate import SILENT, read

TAKES_S: Final = {"delay": (0.02, 0.2), "send": (0.02, 0.08)}


class Outside:
    def __init__(self, faults: Path, ledger: TextIO) -> None:
        self._silent = {row["update"] for row in read(faults) if row["fault"] == SILENT}
        self._receipts: dict[str, str] = {}
        self._ledger = ledger

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        loop = asyncio.get_running_loop()
        while line := await reader.readline():
            request = json.loads(line)
            value = self.delay(request) if request["what"] == "delay" else self.send(request)
            if value is not None:
                answer = json.dumps({"number": request["number"], "value": value}).encode() + b"\n"
                loop.call_later(_takes_s(request), writer.write, answer)
        writer.close()

    def delay(self, request: dict[str, Any]) -> int | None:
        """Minutes. None: it never answers."""
        update = request["update"]
        if update in self._silent:
            self._silent.discard(update)
            self._enter(request, "no answer")
            return None
        self._enter(request, "answered")
        return zlib.crc32(f"{request['carrier']} {update}".encode()) % 90

    def send(self, request: dict[str, Any]) -> str:
        """The receipt of the message that was sent now, or earlier under this key."""
        key = request["key"]
        is_new = key not in self._receipts
        if is_new:
            self._receipts[key] = f"receipt-{len(self._receipts) + 1}"
        self._enter(request, "sent" if is_new else "known", receipt=self._receipts[key])
        return self._receipts[key]

    def _enter(self, request: dict[str, Any], result: str, **more: str) -> None:
        row = {name: request[name] for name in ("at", "what", "key", "update")}
        self._ledger.write(json.dumps(row | {"result": result, **more}) + "\n")


def _takes_s(request: dict[str, Any]) -> float:
    shortest, longest = TAKES_S[request["what"]]
    return shortest + (longest - shortest) * (zlib.crc32(request["key"].encode()) % 1000) / 1000


async def serve(port: int, outside: Outside) -> None:
    server = await asyncio.start_server(outside.serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main(port: str, faults: str, ledger: str) -> None:
    with Path(ledger).open("a", buffering=1, encoding="utf-8") as file:
        asyncio.run(serve(int(port), Outside(Path(faults), file)))


if __name__ == "__main__":
    main(*sys.argv[1:])
