# SPDX-License-Identifier: Apache-2.0
"""Which browsers may call: foreign origins and forged hosts are refused, whatever they ask for."""

from __future__ import annotations

import pytest

from nervenet.config import Config
from nervenet.errors import ConfigError
from tests.http_door.world import COORDINATOR, HttpWorld, call, told

LIST = f"{COORDINATOR}/ListWorkflows"
SAFE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
async def test_another_origin_is_refused(world: HttpWorld, origin: str) -> None:
    http = await world.http()
    for answer in (
        await call(http, LIST, origin=origin),
        await http.get("/live/workflows/w", headers={"origin": origin}),
        await http.options(LIST, headers={"origin": origin, "access-control-request-method": "POST"}),
    ):
        assert told(answer) == (403, "permission_denied", "OTHER_ORIGIN")
        assert "access-control-allow-origin" not in answer.headers


async def test_a_page_of_another_site_that_sends_no_origin_is_refused_too(world: HttpWorld) -> None:
    http = await world.http()
    for site in ("cross-site", "same-site"):
        answer = await http.get("/live/workflows/w", headers={"sec-fetch-site": site})
        assert told(answer) == (403, "permission_denied", "OTHER_ORIGIN")
        link = await http.get("/", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"})
        assert link.status_code == 200


async def test_its_own_page_may_call(world: HttpWorld) -> None:
    http = await world.http()
    own = f"http://{world.nodes[0].http}"
    for scheme in ("http", "https"):  # a proxy may have ended TLS
        answer = await call(http, LIST, origin=own.replace("http", scheme), sec_fetch_site="same-origin")
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7701", "127.0.0.1.evil.example", "localhost.evil.example", "a b", ""]
)
async def test_a_forged_host_is_refused(world: HttpWorld, host: str) -> None:
    http = await world.http()
    for answer in (
        await http.get("/", headers={"host": host}),
        await call(http, LIST, host=host),
        await call(http, LIST, host=host, origin=f"http://{host}"),
    ):
        assert answer.status_code in (400, 403)
        assert told(answer)[1:] == ("permission_denied", "OTHER_HOST")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7701", "127.0.0.1:1", "[::1]:7701", "[::1]", "10.0.0.7"])
async def test_loopback_and_addresses_are_no_forged_hosts(world: HttpWorld, host: str) -> None:
    http = await world.http()
    assert (await call(http, LIST, host=host)).status_code == 200


async def test_origins_that_are_allowed_may_call_and_name_the_proxy(world: HttpWorld) -> None:
    http = await world.http(http_origins="https://mesh.example.com, http://localhost:3000")
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    preflight = await http.options(LIST, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    answer = await call(http, LIST, origin="http://localhost:3000")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "http://localhost:3000")
    assert "Origin" in answer.headers["vary"]
    assert (await call(http, LIST, host="mesh.example.com", origin="https://mesh.example.com")).status_code == 200
    assert told(await call(http, LIST, host="other.example.com"))[2] == "OTHER_HOST"


async def test_the_advertised_name_is_its_own(world: HttpWorld) -> None:
    http = await world.http(advertise="node-1.internal")
    assert (await call(http, LIST, host="node-1.internal:7701")).status_code == 200


async def test_every_answer_keeps_browsers_from_doing_harm(world: HttpWorld) -> None:
    http = await world.http()
    for answer in (
        await http.get("/"),
        await http.get("/nothing.js"),
        await call(http, LIST),
        await call(http, "/nothing"),
        await call(http, LIST, origin="https://evil.example"),
    ):
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
        assert "server" not in answer.headers
    assert (await call(http, LIST)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "origins", ["mesh.example.com", "https://", "ftp://a", "https://a/path", "*", "https://a b", "https://a,,https://b"]
)
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(ConfigError, match="http_origins"):
        Config.load(environ={}, http_origins=origins)
