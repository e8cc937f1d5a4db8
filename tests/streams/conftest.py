# SPDX-License-Identifier: Apache-2.0
"""A store: everything that `streams` offers, over a real server, in a namespace of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nervenet.streams.link import Link
from tests.streams.store import Store


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[Store]:
    link = await Link.open(redis_url, name=namespace)
    yield Store(link, namespace)
    await link.close()
