# SPDX-License-Identifier: Apache-2.0
"""Agents in other languages whose JWT expires before it is renewed: `python -m tests.security.polyglot go typescript` (make interop).

The agents are those of examples/polyglot, built before. Each loses its stream with CREDENTIALS_EXPIRED, waits until its file has a new
token, and goes on in the same process. One whose token was never good ends at once.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from nervenet import Agent, Client, Mesh
from nervenet.payloads import ANY
from nervenet.timing import JWT_LEEWAY
from tests.support.issuer import AUDIENCE, issuing
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.processes import Process
from tests.support.waiting import until

AGENTS = {
    "go": ["examples/polyglot/go/build/agent"],
    "typescript": [shutil.which("node") or "node", "examples/polyglot/typescript/dist/agent.js"],
}
LIVES = 15.0
"""Seconds that the first JWT counts, with the leeway."""

BAD = 1
"""Refusals of the agent whose token was never good."""

mesh = Mesh("polyglot")
echo: Agent[Any, Any] = Agent("conf_echo", ANY, ANY)


def _refused(host: ProcessMesh) -> bool:
    """Whether a node has refused Connect for credentials that have ended: by the first stream, and by what came after it."""
    (node,) = host.nodes
    page = httpx.get(f"http://{node.metrics}/metrics", trust_env=False).text
    lines = [line for line in page.splitlines() if "AgentService/Connect" in line and "UNAUTHENTICATED" in line]
    counts = [float(line.split()[-1]) for line in lines if "_count{" in line]
    return sum(counts) >= BAD + 2


def started(host: ProcessMesh, name: str, token: Path) -> Process:
    env = {**host.env, "NERVENET_ADDRESS": host.addresses, "NERVENET_TOKEN_FILE": str(token), "CONFORMANCE": "1"}
    env.pop("NERVENET_TOKEN", None)
    return Process(AGENTS[name], host.folder / f"{name}-{token.stem}.log", env)


async def renewed_too_late(name: str, folder: Path) -> None:
    files = {who: folder / f"{who}.jwt" for who in ("node", "user", "late", "never")}
    with issuing() as issuer:
        for who, role in (("node", "node"), ("user", "operator")):
            files[who].write_text(issuer.token(sub=who, roles=[role]))
        env = {
            "NERVENET_JWT_ISSUER": issuer.url,
            "NERVENET_JWT_AUDIENCE": AUDIENCE,
            "NERVENET_TOKEN_FILE": str(files["node"]),
            "NERVENET_METRICS": "127.0.0.1:0",
        }
        with mesh_alone("tests/security/polyglot.py", folder, **env) as host:
            host.up(host.node())
            files["never"].write_text("not a token")
            files["late"].write_text(issuer.token(sub="late", roles=["agent"], lasts=LIVES - JWT_LEEWAY))
            stranger, agent = started(host, name, files["never"]), started(host, name, files["late"])
            try:
                assert stranger.wait(30) != 0, "a token that is no token is a mistake of the settings"
                user = issuer.token(sub="user", roles=["operator"])
                async with Client(host.addresses, namespace=host.namespace, token=user) as client:
                    assert await asyncio.wait_for(client.call(echo, "before", request_id="before"), 60) == "before"
                    await until(lambda: _refused(host), "its stream has ended, and what it tries is refused", 60, agent)
                    assert agent.alive, f"it waits for a new token:\n{agent.log}"
                    renewed = files["late"].with_suffix(".new")
                    renewed.write_text(issuer.token(sub="late", roles=["agent"]))
                    renewed.rename(files["late"])
                    assert await asyncio.wait_for(client.call(echo, "after", request_id="after"), 60) == "after"
                    assert agent.alive
            finally:
                agent.kill()
                stranger.kill()


def main(names: list[str]) -> None:
    for name in names:
        with tempfile.TemporaryDirectory(prefix="nervenet-test-") as folder:
            asyncio.run(renewed_too_late(name, Path(folder)))
        print(f"{name}: goes on when its token is renewed, ends when it was never good", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(AGENTS))
