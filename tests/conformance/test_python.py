# SPDX-License-Identifier: Apache-2.0
"""The Python agent against the features that are quick to check; `make interop` runs all of them in all languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.candidates import CANDIDATES
from tests.conformance.features import check
from tests.conformance.mesh import Mesh

QUICK = ("registration", "payloads: empty, null, bytes", "failures and retries", "claim and dedupe", "cancel")


@pytest.mark.timeout(240)
async def test_the_python_agent_conforms(redis_url: str, etcd_url: str, namespace: str, tmp_path: Path) -> None:
    async with Mesh(CANDIDATES["python"], redis_url, etcd_url, namespace, tmp_path / "mesh") as mesh:
        for name in QUICK:
            await check(mesh, name)
