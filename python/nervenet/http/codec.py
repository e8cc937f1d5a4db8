# SPDX-License-Identifier: Apache-2.0
"""Bodies: JSON and protobuf to the bytes that the guard reads, and answers back to either form.

JSON becomes protobuf bytes first, which then pass the same limits and checks as a gRPC message (`rpc/decoding.py`). The
Python runtime of protobuf reads JSON in Python, and so does `json_text` write it: what is large is done in a thread of its own,
one thing after another, so that the event loop of the node waits 5 ms at most.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format

from nervenet.errors import InvalidRequest
from nervenet.http.json_text import json_text
from nervenet.rpc.decoding import MOST_FIELDS
from nervenet.rpc.status import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

__all__ = ["Codec"]

_LARGE: Final = 16 * 1024
"""Bytes from which JSON is read or written in the thread."""
_DEEPEST: Final = 100
"""Messages, lists and objects within each other, as protobuf has it."""
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_A_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))


class Codec:
    """One for each server. `close` ends its thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "nervenet-http-json")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def request(self, kind: Any, body: bytes, *, is_json: bool) -> bytes:
        """A request as the bytes of its message. Raises InvalidRequest."""
        if not is_json:
            return body
        raw: bytes = await self._run(len(body), _from_json, kind, body)
        return raw

    async def answer(self, message: Message, *, is_json: bool) -> bytes:
        if not is_json:
            return message.SerializeToString()
        return (await self.text(message)).encode()

    async def text(self, message: Message) -> str:
        """A message as JSON in one line."""
        text: str = await self._run(message.ByteSize(), json_text, message)
        return text

    async def values(self, body: bytes) -> Any:
        """JSON that is no message of the contract. Raises InvalidRequest."""
        return await self._run(len(body), _values, body)

    async def _run(self, size: int, function: Callable[..., Any], *arguments: Any) -> Any:
        if size < _LARGE:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _from_json(kind: Any, body: bytes) -> bytes:
    name = kind.DESCRIPTOR.full_name
    _bound(body)
    try:
        if not body.lstrip().startswith(b"{"):  # protobuf takes an empty list for an empty message
            raise ValueError("it is no object")
        message = json_format.Parse(body.decode(), kind(), max_recursion_depth=_DEEPEST)
        return bytes(message.SerializeToString())
    except RecursionError:
        why = f"more than {_DEEPEST} values within each other"
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8, at byte {error.start}"
    except (
        ValueError,
        TypeError,
        AttributeError,
        json_format.Error,
    ) as error:  # what it raises for wrong types differs
        why = str(error).partition("\n")[0].rstrip(".")
    raise _undecodable(f"the request cannot be read as the JSON of {name}: {why}", name)


def _values(body: bytes) -> Any:
    _bound(body)
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _undecodable(f"the request cannot be read as JSON: {error}", "JSON") from None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _undecodable(words: str, name: str) -> InvalidRequest:
    return InvalidRequest(words, code="INVALID_ARGUMENT", reason="UNDECODABLE", metadata={"message": name})


def _bound(body: bytes) -> None:
    """Refuse JSON with too many values, or too deep, before an object is made of it."""
    many = body.count(b",") >= MOST_FIELDS
    deep = body.count(b"[") + body.count(b"{") > _DEEPEST
    if not (many or deep):
        return
    plain = _STRINGS.sub(b"", body)
    if plain.count(b",") >= MOST_FIELDS:
        raise invalid("request", f"more than {MOST_FIELDS:,} values in one request")
    depth = 0
    for bracket in plain.translate(None, _NOT_A_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        if depth > _DEEPEST:
            raise _undecodable(f"more than {_DEEPEST} values within each other", "JSON")
