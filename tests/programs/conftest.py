# SPDX-License-Identifier: Apache-2.0
"""A mesh for each test: each of them kills one of its processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nervenet.dev.servers import Server
from tests.support.mesh import ProcessMesh


@pytest.fixture
def host(tmp_path: Path, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path, shared_valkey.url, shared_etcd.url) as host:
        yield host
