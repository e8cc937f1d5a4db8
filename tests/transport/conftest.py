# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.transport.parties import Authorities
from tests.transport.peers import TlsWorld


@pytest.fixture
def ours(tmp_path: Path) -> Authorities:
    folder = tmp_path / "certificates"
    folder.mkdir()
    return Authorities(folder)


@pytest_asyncio.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[TlsWorld]:
    async with TlsWorld(redis_url, etcd_url, namespace) as world:
        yield world
