# SPDX-License-Identifier: Apache-2.0
"""A mesh that asks everybody for a certificate and the token, and an agent that has both, or only a wrong token."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.features import check
from tests.conformance.mesh import Candidate, Mesh, Sealed
from tests.support.certificates import Authority
from tests.support.waiting import until

FEATURES = ("registration", "payloads: large", "cancel", "node killed")
"""What goes over each way between nodes and an agent, to and fro."""


async def sealed(candidate: Candidate, redis: str, etcd: str, folder: Path) -> None:
    """Over TLS, with a certificate of its own and the token, an agent works as ever, after its node was killed too; with
    a wrong token it ends by itself, and not as if all were well: trying again is no help."""
    folder.mkdir(parents=True, exist_ok=True)
    given = Sealed(Authority(folder / "certificates").issue("all"), "s3cret")
    async with Mesh(candidate, redis, etcd, f"sealed-{candidate.name}", folder / "mesh", given) as mesh:
        wrong = mesh.launch("wrong", NERVENET_TOKEN="guessed")
        await until(lambda: not wrong.alive, "an agent with a wrong token ends")
        assert wrong.process.returncode != 0, f"it ended as if all were well:\n{wrong.logs()}"
        for name in FEATURES:
            await check(mesh, name)
