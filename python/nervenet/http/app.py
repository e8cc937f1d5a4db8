# SPDX-License-Identifier: Apache-2.0
"""The routes of the HTTP door, and how it answers what is refused.

| request | answer |
| --- | --- |
| `POST /{service}/{method}` | a method of the contract, over the Connect protocol |
| `GET /live/workflows/{id}`, `POST /live` | streams of events |
| `GET /`, `GET /{file}` | the dashboard |
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from nervenet.errors import RequestError
from nervenet.http.access import Access, Allowed
from nervenet.http.codec import Codec
from nervenet.http.connect import ConnectMethods
from nervenet.http.ending import CallerLeft, OpenStreams
from nervenet.http.failures import HttpRefusal, error_json, http_status
from nervenet.http.files import Files
from nervenet.http.json_text import compact
from nervenet.http.live import LiveReads
from nervenet.http.watch import WorkflowEvents
from nervenet.rpc.channels import receive_limit
from nervenet.rpc.methods import SERVICES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from nervenet.config import Config
    from nervenet.rpc.namespaces import Guards

    Handler = Callable[[Request], Awaitable[Response]]

__all__ = ["HttpApp"]

_log = logging.getLogger(__name__)

_SERVED: Final = frozenset(SERVICES)
"""The contract. Health, reflection and channelz are served over gRPC only."""


class HttpApp:
    """The ASGI application. `close` ends its streams."""

    def __init__(self, config: Config, guards: Guards, host: str) -> None:
        self.streams = OpenStreams()
        self._codec = Codec()
        methods = ConnectMethods(guards, _SERVED, self._codec, self.streams, receive_limit(config.payload_limit))
        self._live = LiveReads(guards, methods, self._codec, self.streams)
        workflows = WorkflowEvents(guards, self._codec, self.streams)
        routes = [
            Route("/live/workflows/{workflow_id:path}", _answered(workflows.serve), methods=["GET"]),
            Route("/live", _answered(self._live.serve), methods=["POST"]),
            Route("/{service}/{method}", _answered(methods.serve), methods=["POST"]),
            Route("/{file:path}", _answered(Files().serve), methods=["GET"]),
            Route("/{any:path}", _answered(_no_such_method), methods=["POST", "PUT", "PATCH", "DELETE"]),
        ]
        self._app = Access(Starlette(routes=routes), Allowed(config, host), _is_file, _refused)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except (CallerLeft, ClientDisconnect):
            pass

    def end_streams(self) -> None:
        self.streams.end()

    def close(self) -> None:
        self._live.close()
        self._codec.close()


def _answered(handler: Handler) -> Any:
    """The handler, with its refusals as answers. What nobody expected is logged, and never shown."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except RequestError as error:
            return _refused(error)
        except (CallerLeft, ClientDisconnect):
            raise
        except Exception as error:  # noqa: BLE001  # the caller gets an answer, whatever failed
            _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
            words = f"{type(error).__name__} in the HTTP door; the node's log says more"
            return _refused(RequestError(words, reason="INTERNAL"))

    return answer


def _refused(error: RequestError) -> Response:
    headers = dict(error.headers) if isinstance(error, HttpRefusal) else {}
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    return Response(compact(error_json(error)), http_status(error), headers, media_type="application/json")


async def _no_such_method(request: Request) -> Response:
    if request.method == "POST":
        words = "there is no such method: POST /nervenet.v1.CoordinatorService/ListWorkflows is one"
        raise HttpRefusal(404, "UNIMPLEMENTED", words, reason="")
    words = f"{request.method} is not served: calls are POST, files are GET"
    raise HttpRefusal(405, "UNIMPLEMENTED", words, reason="", headers={"Allow": "GET, POST"})


def _is_file(path: str) -> bool:
    return not path.startswith(("/live", "/nervenet."))
