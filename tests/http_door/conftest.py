# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.http_door.world import HttpWorld


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[HttpWorld]:
    world = HttpWorld(redis_url, etcd_url, namespace)
    async with world.stack:
        yield world
