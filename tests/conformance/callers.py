# SPDX-License-Identifier: Apache-2.0
"""Programs that are their own coordinator: RunTask with a request id survives the caller."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.candidates import CANDIDATES
from tests.conformance.mesh import DEADLINE, Mesh
from tests.support.waiting import until

CALLERS: Mapping[str, list[str]] = {
    "go": ["examples/polyglot/go/build/client"],
    "typescript": ["node", "examples/polyglot/typescript/dist/client.js"],
    "rust": ["build/rust/debug/client"],
}
"""The command of each; request id, capability and JSON input are appended."""


async def resumed(caller: str, redis: str, etcd: str, folder: Path) -> None:
    """Killed while its task runs and started again with the same request id, a caller gets the one result; a third start,
    long after, gets it too; the handler ran once. In between the node dies that the first call went to."""
    async with Mesh(CANDIDATES["python"], redis, etcd, f"caller-{caller}", folder) as mesh:
        await mesh.agent("worker")
        log = folder / "handlers"
        told = json.dumps({"log": str(log), "sleep_ms": 4000, "number": 2**53})
        words = [*CALLERS[caller], f"{caller}-invoice-7", "conf_work", told]
        first = await _started(words, mesh)
        await until(lambda: log.exists(), "the handler has begun")
        first.kill()
        await first.wait()
        mesh.nodes[0].kill()
        answers = [await _answer(words, mesh) for _ in range(2)]
        assert json.loads(answers[0])["successor"] == 2**53 + 1, answers[0]
        assert answers[0] == answers[1], answers
        begun = [line for line in log.read_text().splitlines() if line.startswith("begin")]
        assert len(begun) == 1, begun


async def _started(words: list[str], mesh: Mesh) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*words, env={**os.environ, **mesh.env}, stdout=pipe, stderr=pipe)


async def _answer(words: list[str], mesh: Mesh) -> str:
    process = await _started(words, mesh)
    out, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 0, errors.decode()
    return out.decode()
