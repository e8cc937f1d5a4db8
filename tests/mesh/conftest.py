# SPDX-License-Identifier: Apache-2.0
"""A host for each module: its processes are started once, by the module's own fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nervenet.dev.servers import Server
from tests.support.mesh import ProcessMesh


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    folder: Path = tmp_path_factory.mktemp("mesh")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url) as host:
        yield host
