# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.blobs.world import World
from tests.support.s3 import create_bucket, s3_server


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    """Large values lie in a folder."""
    world = World(redis_url, etcd_url, namespace, (tmp_path / "blobs").as_uri())
    async with world.stack:
        yield world


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A server of S3 with the bucket `values`."""
    with s3_server() as url:
        create_bucket(url, "values")
        yield url


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
