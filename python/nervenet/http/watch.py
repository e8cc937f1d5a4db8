# SPDX-License-Identifier: Apache-2.0
"""`GET /live/workflows/{id}`: a workflow's journal as events, as it grows, to its end.

It is WatchWorkflow, with the sequence number of each entry as the event's id: a browser that lost the stream sends the last
one as `Last-Event-ID`, and gets what follows.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nervenet.errors import InvalidRequest, RequestError
from nervenet.http.call import HttpCall, check_caller
from nervenet.http.connect import GuardedCalls
from nervenet.http.events import KEEP_ALIVE, EventStream, event
from nervenet.http.failures import error_json
from nervenet.http.json_text import compact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from nervenet.http.codec import Codec
    from nervenet.http.ending import OpenStreams
    from nervenet.rpc.namespaces import Guards

__all__ = ["WorkflowEvents"]

PATH: Final = "/nervenet.v1.CoordinatorService/WatchWorkflow"
REFUSED_WITHIN: Final = 0.25
"""Seconds that the answer waits for a refusal, so that it can have its status. After that an error is an event."""
_FORMATS: Final = {"": 0, "value": 1, "raw": 2, "omit": 3}
_LONGEST_NUMBER: Final = 18


class WorkflowEvents:
    """The handler."""

    def __init__(self, guards: Guards, codec: Codec, streams: OpenStreams) -> None:
        self._guards = guards
        self._codec = codec
        self._streams = streams

    async def serve(self, request: Request) -> Response:
        """Raises RequestError for what is refused at once."""
        guard = check_caller(self._guards, request)
        method = guard.methods[PATH]
        asked = request.query_params
        form = asked.get("format", "").lower()
        if form not in _FORMATS:
            raise _wrong("format", form, "value, raw or omit")
        raw = method.rpc.request(
            workflow_id=request.path_params["workflow_id"],
            after_sequence=_after(request),
            include_progress=asked.get("progress") in ("1", "true"),
            include_partials=asked.get("partials") in ("1", "true"),
            payload_format=_FORMATS[form],
        ).SerializeToString()
        answers: Any = GuardedCalls(guard).answers(method, raw, HttpCall.of(request, None))
        first = asyncio.ensure_future(anext(answers))
        await asyncio.wait((first,), timeout=REFUSED_WITHIN)
        if first.done() and isinstance(error := first.exception(), RequestError):
            raise error

        async def close() -> None:
            first.cancel()
            await asyncio.wait((first,))
            await answers.aclose()

        return EventStream(request, self._events(answers, first), close)

    async def _events(self, answers: Any, first: asyncio.Future[Any]) -> AsyncGenerator[bytes, None]:
        try:
            async with self._streams.open():
                with suppress(StopAsyncIteration):
                    yield await self._event(await first)
                    async for answer in answers:
                        yield await self._event(answer)
            yield event("{}", name="end")
        except RequestError as error:
            yield event(compact(error_json(error)), name="error")

    async def _event(self, answer: Any) -> bytes:
        if not (answer.HasField("entry") or answer.HasField("blocked")):
            return KEEP_ALIVE
        sequence = answer.entry.sequence
        return event(await self._codec.text(answer), id=str(sequence) if sequence else "")


def _after(request: Request) -> int:
    """The sequence number after which the watcher goes on."""
    for name, text in (
        ("Last-Event-ID", request.headers.get("last-event-id", "")),
        ("after", request.query_params.get("after", "")),
    ):
        if text:
            if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
                raise _wrong(name, text, "the sequence number of a journal entry")
            return int(text)
    return 0


def _wrong(name: str, text: str, expected: str) -> InvalidRequest:
    words = f"{name} is {text[:40]!r}: it must be {expected}"
    return InvalidRequest(words, code="INVALID_ARGUMENT", reason="INVALID_FIELD")
