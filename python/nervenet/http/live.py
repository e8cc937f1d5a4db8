# SPDX-License-Identifier: Apache-2.0
"""`POST /live`: the answers of several calls in one stream of events, sent again whenever they change.

    {"every": 2, "reads": {"open": {"method": "nervenet.v1.CoordinatorService/ListWorkflows", "request": {"pageSize": 50}}}}

A page needs one stream, whatever it shows. The node makes each call once per interval (`every`, for all or for one of
them) for all streams that ask for the same one, and turns an answer to JSON only if it has changed, so that many idle pages
cost what one does. A reader that is slow misses answers in between, and gets the newest.

Rejected: a stream of changes. The lists of the contract have filters and pages, and each would need a second implementation
that decides which change concerns whom.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.errors import RequestError
from nervenet.http.call import HttpCall, body_of, check_caller
from nervenet.http.connect import GuardedCalls, content_type
from nervenet.http.events import KEEP_ALIVE, EventStream, event
from nervenet.http.failures import error_json
from nervenet.http.json_text import compact
from nervenet.rpc.status import invalid
from nervenet.security import current_call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from nervenet.http.codec import Codec
    from nervenet.http.connect import ConnectMethods
    from nervenet.http.ending import OpenStreams
    from nervenet.rpc.guard import Guard
    from nervenet.rpc.namespaces import Guards

__all__ = ["LiveReads"]

MOST_READS: Final = 20
LARGEST_REQUEST: Final = 64 * 1024
SHORTEST_INTERVAL, INTERVAL, LONGEST_INTERVAL = 1.0, 2.0, 60.0
ANSWER_WITHIN: Final = 10.0
"""Seconds that one call may take."""
SILENCE: Final = 15.0
"""Seconds after which a stream without news sends a comment."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_READS: Final = ("List", "Get", "Describe")


class LiveReads:
    """The handler. `close` ends the calls that no stream waits for any more."""

    def __init__(self, guards: Guards, methods: ConnectMethods, codec: Codec, streams: OpenStreams) -> None:
        self._guards = guards
        self._methods = methods
        self._codec = codec
        self._streams = streams
        self._reads: dict[tuple[int, str, str, bytes], _Read] = {}
        """By caller, namespace, path and request: what one caller may see is not for another one."""

    def close(self) -> None:
        for read in tuple(self._reads.values()):
            read.close()

    async def serve(self, request: Request) -> Response:
        """Raises RequestError for a request that is wrong."""
        guard = check_caller(self._guards, request)
        content_type(request, "application/json")
        asked = await self._codec.values(await body_of(request, LARGEST_REQUEST))
        if not isinstance(asked, dict) or set(asked) - {"every", "reads"}:
            raise invalid("request", 'an object of "every" (seconds) and "reads"')
        every, reads = _interval("every", asked, INTERVAL), asked.get("reads")
        if not isinstance(reads, dict) or not 1 <= len(reads) <= MOST_READS:
            raise invalid("reads", f"1 to {MOST_READS} names, each with a method and its request")
        standing = guard.standing()
        wanted = {name: await self._wanted(guard, name, read, every) for name, read in reads.items()}
        if standing is not None:
            standing.rpcs.extend(guard.methods[one.path].rpc for one in wanted.values())
        return EventStream(request, self._until_its_end(guard.streams.watched(self._events(wanted), standing)))

    async def _until_its_end(self, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Until the caller's credentials or rights end: a page that opens the stream again is told why."""
        with suppress(RequestError):
            async with aclosing(events):
                async for one in events:
                    yield one

    async def _wanted(self, guard: Guard, name: str, read: Any, every: float) -> _Wanted:
        at = f"reads.{name[:64]}"
        if not _NAME.fullmatch(name):
            raise invalid(at, "a name of letters, digits, '-' and '_'")
        if not isinstance(read, dict) or set(read) - {"method", "request", "every"}:
            raise invalid(at, 'an object of "method", "request" and "every"')
        path, request = read.get("method"), read.get("request", {})
        if not isinstance(path, str) or not isinstance(request, dict):
            raise invalid(at, "its method is a text, its request an object")
        method = self._methods.method(guard, f"/{path}")
        if method.rpc.streams_out or not method.rpc.name.startswith(_READS):
            raise invalid(f"{at}.method", "a call that reads, and has one answer")
        guard.authorize(method.rpc)
        text = json.dumps(request).encode()
        raw = await self._codec.request(method.rpc.request, text, is_json=True)
        return _Wanted(method.rpc.path, raw, _interval(f"{at}.every", read, every))

    async def _events(self, wanted: dict[str, _Wanted]) -> AsyncGenerator[bytes, None]:
        news = asyncio.Event()
        reads = {name: self._join(each, news) for name, each in wanted.items()}
        sent = dict.fromkeys(reads, 0)
        try:
            async with self._streams.open(grace=0):
                while True:
                    news.clear()
                    for name, read in reads.items():
                        if read.version != sent[name]:
                            sent[name] = read.version
                            yield event(read.text, name=name)
                    try:
                        async with asyncio.timeout(SILENCE):
                            await news.wait()
                    except TimeoutError:
                        yield KEEP_ALIVE
        except RequestError:  # the node stops, or the stream has had its time: the reader opens another one
            return
        finally:
            for read in reads.values():
                read.leave(news)

    def _join(self, wanted: _Wanted, news: asyncio.Event) -> _Read:
        call = current_call()
        key = id(call.caller), call.namespace, wanted.path, wanted.raw
        read = self._reads.get(key)
        if read is None:
            over = partial(self._reads.pop, key, None)
            read = self._reads[key] = _Read(self._guards, wanted.path, wanted.raw, self._codec, over)
        read.join(news, wanted.every)
        return read


class _Wanted(NamedTuple):
    """A call that a stream asks for, and the seconds between two of them."""

    path: str
    raw: bytes
    every: float


def _interval(field: str, asked: dict[str, Any], default: float) -> float:
    every = asked.get("every", default)
    if isinstance(every, bool) or not isinstance(every, (int, float)):
        raise invalid(field, "a number of seconds")
    return float(min(max(every, SHORTEST_INTERVAL), LONGEST_INTERVAL))


class _Read:
    """One call that is made repeatedly while a stream waits for it."""

    def __init__(self, guards: Guards, path: str, raw: bytes, codec: Codec, over: Callable[[], object]) -> None:
        self._guards = guards
        self._path = path
        self._raw = raw
        self._codec = codec
        self._over = over
        self._waiting: dict[asyncio.Event, float] = {}
        self._sooner = asyncio.Event()
        self._last: bytes | None = None
        self.version = 0
        """Of the newest answer; 0 before there is one."""
        self.text = ""
        self._call = current_call()  # its caller keeps the id by which this object is found
        self._task = asyncio.create_task(self._run(), name=f"live {path}")

    def join(self, news: asyncio.Event, interval: float) -> None:
        if interval < min(self._waiting.values(), default=interval):
            self._sooner.set()
        self._waiting[news] = interval

    def leave(self, news: asyncio.Event) -> None:
        self._waiting.pop(news, None)
        if not self._waiting:
            self.close()

    def close(self) -> None:
        self._over()
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.create_task(self._look())  # what the policy says of this call is not kept for the next one
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._waiting.values(), default=INTERVAL)):
                    await self._sooner.wait()

    async def _look(self) -> None:
        """Make the call, and tell the streams if its answer is another one."""
        try:
            guard = self._guards.of(self._call.namespace)  # each time: a namespace may have got another node
            method = guard.methods[self._path]
            answer = await GuardedCalls(guard).answer(method, self._raw, HttpCall([], ANSWER_WITHIN))
            found = answer.SerializeToString(deterministic=True)
            if found == self._last:
                return
            text = await self._codec.text(answer)
        except RequestError as error:
            text = compact({"error": error_json(error)})
            found = text.encode()
            if found == self._last:
                return
        self._last, self.text = found, text
        self.version += 1
        for news in self._waiting:
            news.set()
