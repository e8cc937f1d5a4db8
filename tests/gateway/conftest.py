# SPDX-License-Identifier: Apache-2.0

"""Nodes in this process, with their real gRPC side, on the shared servers; a namespace for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.gateway.net import Net


@pytest.fixture
async def net(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[Net]:
    net = Net(redis_url, etcd_url, namespace)
    async with net.stack:
        yield net
