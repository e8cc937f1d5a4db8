# SPDX-License-Identifier: Apache-2.0
"""Which browsers may call: the names that a request may have for this node (Host), and the sites it may come from (Origin).

A page of another site can make its visitor's browser send requests to any address. So a call from another origin is
refused unless the setting `http_origins` allows it, and so is a name that this node does not have: otherwise a site could
let its own name point to this node (DNS rebinding) and would count as the same origin. Addresses are no names, so they are
accepted. Programs other than browsers send no Origin, and are judged by their token alone.

Every answer also gets the headers that keep a page from loading anything but its own files.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from nervenet.config import split_host_port
from nervenet.http.failures import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nervenet.config import Config

__all__ = ["Access", "Allowed"]

_SAFE: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PREFLIGHT: Final = {
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": (
        "authorization, baggage, connect-protocol-version, connect-timeout-ms, content-type, last-event-id, "
        "nervenet-namespace, traceparent, tracestate, x-user-agent"
    ),
    "access-control-max-age": "7200",
}


class Allowed:
    """Decides by the headers of a request."""

    def __init__(self, config: Config, host: str) -> None:
        self._origins = frozenset(config.http_origins)
        names = {"localhost", host, socket.gethostname()}
        names |= {urlsplit(origin).hostname or "" for origin in self._origins}
        if config.advertise is not None:
            names.add(config.advertise.rpartition(":")[0] or config.advertise)
        self._names = frozenset(name.lower() for name in names if name)

    def check(self, headers: Headers, *, page: bool) -> str:
        """The other origin that may read the answer; "" where there is none. `page`: a file, which a link of another site may
        open. Raises HttpRefusal.
        """
        here = headers.get("host", "")
        self._check_host(here)
        origin = headers.get("origin", "")
        if origin and urlsplit(origin).netloc.lower() == here.lower():
            return ""
        if origin in self._origins:
            return origin
        if origin or (headers.get("sec-fetch-site") in ("cross-site", "same-site") and not page):
            who = f"a page of {origin[:200]}" if origin else "a page of another site"
            words = f"{who} may not call this node: add its origin to NERVENET_HTTP_ORIGINS if it should"
            raise HttpRefusal(403, "PERMISSION_DENIED", words, reason="OTHER_ORIGIN")
        return ""

    def _check_host(self, given: str) -> None:
        name = _name_of(given)
        if name in self._names or _is_address(name):
            return
        words = (
            f"this node is not called {name[:200]!r}: add https://{name[:200]} to NERVENET_HTTP_ORIGINS if a proxy gives it "
            "that name"
            if name
            else "the request has no Host, or one that is no host and port"
        )
        raise HttpRefusal(403 if name else 400, "PERMISSION_DENIED", words, reason="OTHER_HOST")


class Access:
    """Checks each request before `app` sees it, and completes the headers of each answer.

    Args:
        app: What answers.
        allowed: Who may ask.
        is_page: Whether a path is a file, which anybody may open.
        refuse: Makes the answer of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        allowed: Allowed,
        is_page: Callable[[str], bool],
        refuse: Callable[[HttpRefusal], Response],
    ) -> None:
        self._app = app
        self._allowed = allowed
        self._is_page = is_page
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        page = scope["method"] in ("GET", "HEAD") and self._is_page(scope["path"])
        answer: Callable[[Scope, Receive, Send], Awaitable[None]] = self._app
        origin = ""
        try:
            origin = self._allowed.check(headers, page=page)
            if scope["method"] == "OPTIONS":
                answer = Response(status_code=204, headers=_PREFLIGHT if origin else {"allow": "GET, POST"})
        except HttpRefusal as error:
            answer = self._refuse(error)

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _SAFE.items():
                    given.setdefault(name, value)
                given.setdefault("cache-control", "no-store")
                given.add_vary_header("Origin")
                if origin:
                    given["access-control-allow-origin"] = origin
            await send(message)

        await answer(scope, receive, complete)


def _name_of(host: str) -> str:
    """The name in a Host header; "" for what is none."""
    try:
        return split_host_port(host if _has_port(host) else f"{host}:0")[0].lower()
    except ValueError:
        return ""


def _has_port(host: str) -> bool:
    return host.rpartition("]")[2].count(":") == 1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
