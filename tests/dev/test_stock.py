# SPDX-License-Identifier: Apache-2.0
"""What `nervenet dev` does to the data of a mesh that was killed, before the next one runs on it."""

from __future__ import annotations

from nervenet.dev.servers import Server
from nervenet.dev.supervisor import take_stock
from nervenet.redis_link.opening import open_link
from nervenet.streams.script import packaged_scripts
from tests.support.data_plane import FIRST, DataPlane


async def test_what_goes_on_is_counted_and_the_claims_of_the_dead_are_over(
    shared_valkey: Server, namespace: str
) -> None:
    link = await open_link(shared_valkey.url, scripts=packaged_scripts())
    store = DataPlane(link, namespace)
    assert await take_stock(shared_valkey.url, namespace) == 0
    held, free = await store.start(), await store.start()
    await store.journal.claim(held, 1, "classify", 1, FIRST)
    before = await store.journal.look(held, ["classify"])
    free_before = await link.call("HGETALL", store.keys.head(free))
    assert await take_stock(shared_valkey.url, namespace) == 2
    after = await store.journal.look(held, ["classify"])
    assert before is not None and after is not None
    now = await store.journal.now_ms()
    assert before.claims["classify"].until_ms > now >= after.claims["classify"].until_ms
    assert after.claims["classify"] == before.claims["classify"]._replace(until_ms=after.claims["classify"].until_ms)
    assert await link.call("HGETALL", store.keys.head(free)) == free_before
    await link.close()
