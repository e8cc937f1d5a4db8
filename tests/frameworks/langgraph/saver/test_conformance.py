# SPDX-License-Identifier: Apache-2.0
"""LangGraph's conformance suite for checkpointers: all eight capabilities, on each server.

The suite counts a capability that it does not find as no failure ("FULL"), so this test asks for detected and passed.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from langgraph.checkpoint.conformance import checkpointer_test, validate

from nervenet.dev.servers import Server
from nervenet.integrations.langgraph import NervenetSaver
from tests.support.permissions import make_user
from tests.support.redis_servers import fact

ALL = 8
SETTINGS: dict[str, dict[str, Any]] = {"": {}, "ttl": {"ttl": timedelta(hours=1)}, "keep": {"keep": 1_000}}


async def results(url: str, **options: Any) -> tuple[int, int, str]:
    """How many capabilities passed, how many the suite knows, and its report."""

    @checkpointer_test(name="NervenetSaver")
    async def saver() -> AsyncGenerator[NervenetSaver, None]:
        namespace = uuid.uuid4().hex
        user = make_user(url, "checkpoints", namespace) if url.startswith("redis://") else url
        async with NervenetSaver.from_url(user, namespace=namespace, **options) as one:
            yield one

    report = await validate(saver)
    passed = sum(bool(result.detected and result.passed) for result in report.results.values())
    return passed, len(report.results), str(report.to_dict())


def product(server: Server) -> str:
    valkey = fact(server, "valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {fact(server, 'redis_version')}"


@pytest.mark.parametrize("name", ["Valkey", "Redis 7"])
async def test_all_eight_capabilities(
    name: str, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    try:
        server: Server = request.getfixturevalue({"Valkey": "shared_valkey", "Redis 7": "redis7"}[name])
    except pytest.skip.Exception as missing:
        record_property("conformance", f"NOT RUN on {name}: {missing.msg}")
        raise
    passed, known, report = await results(server.url)
    record_property("conformance", f"{passed} of {known} capabilities passed on {product(server)}")
    assert product(server).startswith(name)
    assert passed == known == ALL, report


@pytest.mark.parametrize("settings", ["ttl", "keep"])
async def test_with_a_time_to_live_and_a_limit(server: Server, settings: str) -> None:
    passed, known, report = await results(server.url, **SETTINGS[settings])
    assert passed == known == ALL, report


async def test_the_suite_notices_a_saver_that_forgets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(self: NervenetSaver, *args: object) -> None:
        """Store nothing."""

    monkeypatch.setattr(NervenetSaver, "aput_writes", forget)
    passed, _, report = await results(server.url)
    assert passed < ALL, report
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
