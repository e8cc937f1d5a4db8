# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.agent.world import World, world_at


@pytest_asyncio.fixture
async def world(redis_url: str, namespace: str) -> AsyncIterator[World]:
    async with world_at(redis_url, namespace) as world:
        yield world
