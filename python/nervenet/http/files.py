# SPDX-License-Identifier: Apache-2.0
"""The files of the dashboard, which are in the wheel (`nervenet/dashboard`). They hold nothing secret, so they need no token.

A browser asks again for each file and gets 304 if it has it (ETag: its content's hash). A file with a hash in its name, as
`app.3f2a9c1b.js`, never changes, and is not asked for again. The types are listed here: Python's `mimetypes` takes them from
the machine, and a browser refuses a script of another type.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import Response

from nervenet.http.failures import HttpRefusal

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Files"]

FOLDER: Final = Path(__file__).parent.parent / "dashboard"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""A path without empty or hidden parts, so without `..`."""
_HASHED: Final = re.compile(r"\.[0-9a-f]{8,}\.")


class _File(NamedTuple):
    stamp: tuple[int, int]
    content: bytes
    etag: str


class Files:
    """The handler of `GET /{path}`. A file is read again when it has changed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._read: dict[Path, _File] = {}

    async def serve(self, request: Request) -> Response:
        """Raises HttpRefusal for a file that there is not."""
        name = request.url.path.removeprefix("/") or "index.html"
        path = self._folder / name
        kind = _TYPES.get(path.suffix)
        if kind is None or not _PLAIN.fullmatch(name):
            raise _missing(name)
        found = self._known(path) or await asyncio.to_thread(self._file, path)
        if found is None:
            raise _missing(name)
        age = "public, max-age=31536000, immutable" if _HASHED.search(path.name) else "no-cache"
        headers = {"ETag": found.etag, "Cache-Control": age}
        if found.etag in (
            tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")
        ):
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=kind, headers=headers)

    def _known(self, path: Path) -> _File | None:
        """The file, if it was read before and is as it was. A page loads fifty files: a thread for each look would cost more."""
        known = self._read.get(path)
        try:
            return known if known is not None and known.stamp == _stamp(path) else None
        except OSError:
            return None

    def _file(self, path: Path) -> _File | None:
        try:
            stamp, content = _stamp(path), path.read_bytes()
        except OSError:
            return None
        found = self._read[path] = _File(stamp, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        return found


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size


def _missing(name: str) -> HttpRefusal:
    return HttpRefusal(404, "NOT_FOUND", f"there is no file {name[:200]!r}", reason="")
