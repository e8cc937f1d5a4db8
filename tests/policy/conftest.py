# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.policy.world import GuardedMesh


@pytest.fixture
async def guarded(redis_url: str, etcd_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[GuardedMesh]:
    async with GuardedMesh(redis_url, etcd_url, namespace, tmp_path) as mesh:
        yield mesh
