# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.blobs.world import World

REGION = "us-east-1"


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    """Large values lie in a folder."""
    world = World(redis_url, etcd_url, namespace, (tmp_path / "blobs").as_uri())
    async with world.stack:
        yield world


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A server of S3 with the bucket `values`."""
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name=REGION, **keys).create_bucket(Bucket="values")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
