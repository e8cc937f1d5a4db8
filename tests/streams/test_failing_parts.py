# SPDX-License-Identifier: Apache-2.0
"""What keeps a link or a subscription connected fails in a way that nobody thought of: it goes on all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nervenet.redis_link.faults import ConnectionLost
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.redis_link.replies import settled
from nervenet.streams.journal import _parsed

if TYPE_CHECKING:
    import pytest


async def test_a_link_connects_again_after_whatever_went_wrong(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = await open_link(redis_url)
    attempt, errors = Link._attempt, [ValueError("a greeting that no version of ours gives"), OSError("no memory")]

    async def fails(self: Link, **how: Any) -> Any:
        if self is link and errors:
            raise errors.pop()
        return await attempt(self, **how)

    monkeypatch.setattr(Link, "_attempt", fails)
    assert link._connection is not None
    link._connection.abort("a test cut it")
    assert await asyncio.wait_for(link.call("ECHO", "x"), 10) == b"x"
    assert not errors
    await link.close()


async def test_a_subscription_hears_again_after_whatever_went_wrong(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await open_link(redis_url)
    subscription = await link.subscribe()
    await subscription.add("news")
    connect, errors = Link.connect, [ValueError("a greeting that no version of ours gives")]

    async def fails(self: Link, *args: Any, **how: Any) -> Any:
        if errors:
            raise errors.pop()
        return await connect(self, *args, **how)

    monkeypatch.setattr(Link, "connect", fails)
    assert subscription._connection is not None
    subscription._connection.abort("a test cut it")
    heard = aiter(subscription)
    assert await asyncio.wait_for(anext(heard), 10) == (b"news", b"")  # subscribed again: something may have happened
    await link.call("PUBLISH", "news", "x")
    assert await asyncio.wait_for(anext(heard), 10) == (b"news", b"x")
    assert not errors
    await link.close()


async def test_of_many_that_were_asked_together_each_has_its_own_answer(redis_url: str) -> None:
    link = await open_link(redis_url)
    await link.call("SET", "text", "x")
    answers = await settled([link.send("HGET", "text", "f"), link.send("ECHO", "a"), link.send("ECHO", "b")])
    assert "WRONGTYPE" in str(answers[0])
    assert answers[1:] == [b"a", b"b"]
    await link.close()


async def test_the_rest_of_many_may_be_dropped_when_the_first_one_fails(
    redis_url: str, recwarn: pytest.WarningsRecorder
) -> None:
    link = await open_link(redis_url, patience=0.0)
    replies = [_parsed(link.call("ECHO", str(n)), int, "w") for n in range(1_000)]
    assert link._connection is not None
    link._connection.abort("a test cut it")
    failed = False
    try:
        for reply in replies:
            await reply
    except ConnectionLost:
        failed = True
    assert failed
    del replies
    assert not [one for one in recwarn if "never awaited" in str(one.message)]
    await link.close()
