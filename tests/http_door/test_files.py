# SPDX-License-Identifier: Apache-2.0
"""The dashboard's files: what is there, with its type, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nervenet.errors import RequestError
from nervenet.http.failures import http_status
from nervenet.http.files import _TYPES, FOLDER, Files
from tests.http_door.world import HttpWorld


async def test_the_page_is_at_the_root(world: HttpWorld) -> None:
    http = await world.http()
    page = await http.get("/")
    assert page.content == (FOLDER / "index.html").read_bytes()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    again = await http.get("/index.html", headers={"if-none-match": f'"x", W/{page.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", page.headers["etag"])
    head = await http.head("/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(page.content)))


def test_each_file_of_the_dashboard_has_a_type() -> None:
    assert {file.suffix for file in FOLDER.rglob("*") if file.is_file()} - set(_TYPES) - {".md", ".LICENSE"} == set()


@pytest.mark.parametrize(
    "path",
    ["/../http/server.py", "/..%2fhttp%2fserver.py", "/%2e%2e/http/server.py", "//etc/passwd", "/.git/config", "/a\\b.js",
     "/nothing.js", "/dashboard", "/index.html/", "/index.html%00.js", "/" + "a" * 5000 + ".js"],
)  # fmt: skip
async def test_nothing_else_is_there(world: HttpWorld, path: str) -> None:
    http = await world.http()
    target = httpx.URL(scheme="http", host=http.base_url.host, port=http.base_url.port, raw_path=path.encode())
    answer = await http.get(target)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_changed_file_is_read_again_and_a_hashed_one_is_kept(tmp_path: Path) -> None:
    files = Files(tmp_path)

    async def serve(request: Request) -> Response:
        try:
            return await files.serve(request)
        except RequestError as error:
            return Response(status_code=http_status(error))

    app = Starlette(routes=[Route("/{file:path}", serve)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        (tmp_path / "app.js").write_text("1")
        first = await http.get("/app.js")
        assert first.headers["content-type"] == "text/javascript; charset=utf-8"
        (tmp_path / "app.js").write_text("22")
        second = await http.get("/app.js", headers={"if-none-match": first.headers["etag"]})
        assert (second.status_code, second.text) == (200, "22")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "app.0123abcd.css").write_text("a{}")
        assert "immutable" in (await http.get("/sub/app.0123abcd.css")).headers["cache-control"]
        (tmp_path / "app.js").unlink()
        assert (await http.get("/app.js")).status_code == 404
