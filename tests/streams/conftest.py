# SPDX-License-Identifier: Apache-2.0
"""A store: everything that `streams` offers, over a real server, in a namespace of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from nervenet.redis_link.opening import open_link
from nervenet.streams.script import packaged_scripts
from tests.streams.store import Store


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[Store]:
    link = await open_link(redis_url, name=namespace, scripts=packaged_scripts())
    yield Store(link, namespace)
    await link.close()
