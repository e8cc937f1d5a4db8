# SPDX-License-Identifier: Apache-2.0
"""A streaming client for any OpenAI-compatible endpoint, in the standard library: another client library does as well.

OPENAI_BASE_URL (with its /v1), OPENAI_MODEL and OPENAI_API_KEY are read when an agent process opens it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nervenet import AgentError

IN_A_MOMENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass
class Turn:
    role: str
    text: str


@dataclass
class Chat:
    url: str
    model: str
    key: str

    def stream(self, turns: list[Turn]) -> Stream:
        return Stream(self, turns)


class Stream:
    """One answer while it comes: iterate over its tokens; text and token counts are whole behind the last one."""

    def __init__(self, chat: Chat, turns: list[Turn]) -> None:
        self._chat, self._turns = chat, turns
        self.model, self.text, self.tokens_in, self.tokens_out = chat.model, "", 0, 0

    async def __aiter__(self) -> AsyncIterator[str]:
        body = {
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": turn.role, "content": turn.text} for turn in self._turns],
        }
        async for line in _post(f"{self._chat.url}/chat/completions", self._chat.key, body):
            if not line.startswith("data:") or (data := line[5:].strip()) == "[DONE]":
                continue
            if token := self._take(json.loads(data)):
                self.text += token
                yield token

    def _take(self, chunk: dict[str, Any]) -> str:
        if usage := chunk.get("usage"):
            self.tokens_in, self.tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
        return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


@asynccontextmanager
async def open_chat() -> AsyncGenerator[Chat]:
    yield Chat(
        os.environ.get("OPENAI_BASE_URL", "http://localhost:11434/v1").rstrip("/"),
        os.environ.get("OPENAI_MODEL", ""),
        os.environ.get("OPENAI_API_KEY", ""),
    )


async def _post(url: str, key: str, body: dict[str, Any]) -> AsyncIterator[str]:
    """The lines of the answer as they arrive. Leaving early hangs up, so a cancelled task stops the model, too."""
    at = urlsplit(url)
    secure = at.scheme == "https"
    reader, writer = await asyncio.open_connection(at.hostname, at.port or (443 if secure else 80), ssl=secure or None)
    try:
        content = json.dumps(body).encode()
        head = [
            f"POST {at.path} HTTP/1.1",
            f"Host: {at.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            "Accept: text/event-stream",
            "Connection: close",
            *([f"Authorization: Bearer {key}"] if key else []),
        ]
        writer.write("\r\n".join([*head, "", ""]).encode() + content)
        status, headers = await _head(reader)
        if status != 200:
            said = (await reader.read(2000)).decode(errors="replace")
            raise AgentError(f"{at.netloc} answered {status}: {said}", retryable=status in IN_A_MOMENT)
        rest = b""
        async for piece in _chunks(reader) if headers.get("transfer-encoding") == "chunked" else _until_end(reader):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line.decode()
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.strip().lower(): value.strip().lower() for name, _, value in pairs}


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()


async def _until_end(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(4096):
        yield piece
