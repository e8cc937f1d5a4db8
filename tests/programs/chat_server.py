# SPDX-License-Identifier: Apache-2.0
"""A model behind the OpenAI protocol: server-sent events over chunked HTTP, said in tokens, with the usage at the end.

    with ChatServer() as model:
        model.url               # for OPENAI_BASE_URL
        model.hold(after=2)     # the next answer stops behind its second token until `go_on()`
        model.asked             # who asked (the key), and how many turns it knew

It speaks for real over a socket, in threads of its own: what is tested is the client that users copy.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

THINKING = "I have to count that first."
SURE = "FINAL: there are forty-two."


def tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


class ChatServer:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self._hold_after: int | None = None
        self._go_on = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def hold(self, after: int) -> None:
        self._hold_after = after

    def go_on(self) -> None:
        self._go_on.set()

    def _next_hold(self) -> int | None:
        held, self._hold_after = self._hold_after, None
        return held

    def _handler(world) -> type[BaseHTTPRequestHandler]:  # the handler below has the name `self`
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/chat/completions" and asked["stream"]
                world.asked.append((self.headers["Authorization"].removeprefix("Bearer "), len(asked["messages"])))
                hold = world._next_hold()
                said = tokens(THINKING if len(asked["messages"]) == 1 else SURE)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.send_header("Connection", "close")
                self.end_headers()
                self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
                for n, token in enumerate(said):
                    if n == hold:
                        world._go_on.wait(60)
                    self._event({"choices": [{"index": 0, "delta": {"content": token}}]})
                usage = {"prompt_tokens": 10 * len(asked["messages"]), "completion_tokens": len(said)}
                self._event({"choices": [], "usage": usage})
                self._chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

            def _event(self, data: dict[str, Any]) -> None:
                self._chunk(f"data: {json.dumps(data)}\n\n".encode())

            def _chunk(self, data: bytes) -> None:
                """In two pieces: an event need not come in one."""
                for part in (data[:7], data[7:]):
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    pass  # who asked has been killed

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing on stderr."""

        return Handler
