# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.archive.world import World


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    world = World(redis_url, etcd_url, namespace, tmp_path / "archive")
    async with world.stack:
        yield world
