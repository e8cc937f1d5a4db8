# SPDX-License-Identifier: Apache-2.0
"""A store: everything that `streams` offers, over a real server, in a namespace of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.data_plane import DataPlane


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[DataPlane]:
    async with DataPlane.open(redis_url, namespace) as store:
        yield store
