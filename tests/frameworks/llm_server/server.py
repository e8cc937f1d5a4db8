# SPDX-License-Identifier: Apache-2.0
"""The server: the routes of an OpenAI-compatible API, and `/stand-in/…` for the test that wrote the rules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.frameworks.llm_server import chat, responses
from tests.frameworks.llm_server.answer import Answer, answer
from tests.frameworks.llm_server.chat import Event
from tests.frameworks.llm_server.conversation import BadRequest, Conversation, from_chat, from_responses
from tests.frameworks.llm_server.http import ClientGone, Connection, Request
from tests.frameworks.llm_server.rules import Rule, Script, rule_from_json

KEY = "sk-stand-in-4f1a9b7c2d"
"""The only API key that the stand-in takes."""
MODELS = ("stand-in", "stand-in-small", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini")
_FORMS: dict[
    str, tuple[Callable[[dict[str, Any]], Conversation], Callable[[Answer], Any], Callable[[Answer], Iterator[Event]]]
] = {
    "/v1/chat/completions": (from_chat, chat.whole, chat.stream),
    "/v1/responses": (from_responses, responses.whole, responses.stream),
}


@dataclass
class Record:
    """One request, as the test sees it (`StandIn.requests`).

    Attributes:
        outcome: "running", "complete", "refused" (an error status), "cut" (by a rule), "gone" (the client went away).
        sent: When each token was written to the socket, in seconds since the epoch.
    """

    number: int
    key: str
    api: str
    model: str
    role: str
    content: str
    stream: bool
    body: dict[str, Any]
    headers: dict[str, str]
    outcome: str = "running"
    status: int = 200
    began: float = 0.0
    ended: float = 0.0
    sent: list[float] = field(default_factory=list)


class Refused(Exception):
    """The request is answered with an error in OpenAI's form."""

    def __init__(self, status: int, message: str, code: str | None = None, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": _kind(status), "param": None, "code": code}}
        self.headers = {} if retry_after is None else {"retry-after": retry_after}


class Server:
    """The state of one stand-in: its rules and what it was asked."""

    def __init__(self) -> None:
        self._script = Script()
        self._records: list[Record] = []
        self._released = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until its end."""
        connection = Connection(reader, writer)
        try:
            while request := await connection.request():
                if request.path.startswith("/stand-in/"):
                    await connection.answer(200, self._control(request))
                elif not await _while_there(connection, self._model_call(connection, request)):
                    return
        except ClientGone:
            return
        finally:
            writer.close()

    # ── for tests ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _control(self, request: Request) -> Any:
        match request.method, request.path.removeprefix("/stand-in/"):
            case "POST", "rules":
                self._script.add([rule_from_json(one) for one in request.json()])
            case "DELETE", "rules":
                self._script.clear()
            case "POST", "release":
                self._released.set()
            case "DELETE", "requests":
                self._records.clear()
            case "GET", "requests":
                return [asdict(one) for one in self._records]
            case _:
                return {"error": f"no such route: {request.method} {request.path}"}
        return {}

    # ── for clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _model_call(self, connection: Connection, request: Request) -> None:
        try:
            _check_key(request)
            if request.method == "GET" and request.path == "/v1/models":
                listed = [
                    {"id": one, "object": "model", "created": chat.CREATED, "owned_by": "stand-in"} for one in MODELS
                ]
                return await connection.answer(200, {"object": "list", "data": listed})
            if request.method != "POST" or request.path not in _FORMS:
                raise Refused(404, f"Invalid URL ({request.method} {request.path})")
            await self._generate(connection, request)
        except Refused as refusal:
            await connection.answer(refusal.status, refusal.body, **refusal.headers)

    async def _generate(self, connection: Connection, request: Request) -> None:
        body = request.json()
        parse, whole, stream = _FORMS[request.path]
        try:
            conversation = parse(body)
        except BadRequest as error:
            raise Refused(400, str(error)) from None
        record = Record(
            number=len(self._records),
            key=conversation.key,
            api=conversation.api,
            model=conversation.model,
            role=conversation.last.role,
            content=conversation.last.text,
            stream=conversation.stream,
            body=body,
            headers=dict(request.headers),
            began=time.time(),
        )
        self._records.append(record)
        try:
            rule, said = self._decide(conversation)
            if rule.cut_after == 0:
                record.outcome = "cut"
                return connection.cut()
            if conversation.stream:
                await self._stream(connection, record, rule, conversation.api, stream(said))
            else:
                await self._whole(connection, record, rule, said, whole(said))
        except Refused as refusal:
            record.outcome, record.status = "refused", refusal.status
            raise
        except (ClientGone, asyncio.CancelledError):
            record.outcome = "gone"
            raise
        finally:
            record.ended = time.time()

    def _decide(self, conversation: Conversation) -> tuple[Rule, Answer]:
        if conversation.model not in MODELS:
            raise Refused(
                404,
                f"The model `{conversation.model}` does not exist or you do not have access to it.",
                "model_not_found",
            )
        chosen = self._script.take(conversation)
        if chosen is None:
            raise Refused(
                400,
                f"the stand-in has no rule for the {conversation.last.role} message {conversation.last.text!r}",
                "no_rule",
            )
        rule, found = chosen
        if rule.status is not None:
            raise Refused(rule.status, rule.message or f"the rule says {rule.status}", rule.code, rule.retry_after)
        return rule, answer(conversation, rule, found)

    async def _stream(
        self, connection: Connection, record: Record, rule: Rule, api: str, events: Iterator[Event]
    ) -> None:
        connection.begin_events(**{"x-request-id": f"req_{record.number}"})
        for data, is_token in events:
            if is_token and not await self._pace(connection, record, rule):
                return
            await connection.event(data, data["type"] if api == "responses" else "")
        if api == "chat":
            await connection.event("[DONE]")
        record.outcome = "complete"  # before its last byte: a client that has the whole answer finds it complete
        await connection.end_events()

    async def _whole(
        self, connection: Connection, record: Record, rule: Rule, said: Answer, body: dict[str, Any]
    ) -> None:
        for _ in range(said.output_tokens):
            if not await self._pace(connection, record, rule, body):
                return
        record.outcome = "complete"
        await connection.answer(200, body, **{"x-request-id": f"req_{record.number}"})

    async def _pace(
        self, connection: Connection, record: Record, rule: Rule, body: dict[str, Any] | None = None
    ) -> bool:
        """Wait as long as the rule says before the next token. False: the rule ends the answer here."""
        done = len(record.sent)
        if rule.cut_after is not None and done >= rule.cut_after:
            if body is not None:
                await connection.half_an_answer(body)
            record.outcome = "cut"
            connection.cut()
            return False
        if rule.error_after is not None and done >= rule.error_after:
            if body is not None:
                raise Refused(500, "the server had an error", "server_error")
            record.outcome = "cut"
            await connection.event(Refused(500, "the server had an error", "server_error").body)
            await connection.end_events()
            return False
        if rule.hold_after is not None and done >= rule.hold_after:
            await self._released.wait()
        if delay := rule.token_delay if done else rule.delay:
            await asyncio.sleep(delay)
        record.sent.append(time.time())
        return True


async def _while_there(connection: Connection, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, and stop it as soon as the client goes away. False: it went."""
    running = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(connection.wait_until_gone())
    try:
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            return False
        await running
        return True
    finally:
        running.cancel()
        gone.cancel()
        await asyncio.gather(running, gone, return_exceptions=True)


def _check_key(request: Request) -> None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not given:
        raise Refused(401, "You didn't provide an API key.")
    if given != KEY:  # with the whole key: the worst that a server can do to those who log its messages
        raise Refused(401, f"Incorrect API key provided: {given}.", "invalid_api_key")


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit_exceeded"
    return "server_error" if status >= 500 else "invalid_request_error"


async def main(port: int) -> None:
    """Serve on loopback until the process is killed. The first line on stdout is the port."""
    listening = await asyncio.start_server(Server().serve, "127.0.0.1", port, limit=1 << 20)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()
