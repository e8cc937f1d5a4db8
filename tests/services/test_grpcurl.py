# SPDX-License-Identifier: Apache-2.0
"""The contract without any SDK: what `grpcurl` sees, and a workflow started and read as plain JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.services.world import World
from tests.support.waiting import until

GRPCURL = str(Path(sys.executable).with_name("grpcurl"))


async def grpcurl(*args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        GRPCURL, "-plaintext", *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return out.decode()


async def call(address: str, method: str, **request: Any) -> Any:
    said = await grpcurl("-d", json.dumps(request), address, f"nervenet.v1.CoordinatorService/{method}")
    return json.loads(said) if said.startswith("{") else said


async def test_grpcurl_lists_the_services_runs_a_workflow_and_explains_a_refusal(world: World) -> None:
    address = (await world.node()).address
    services = (await grpcurl(address, "list")).split()
    assert {
        "nervenet.v1.CoordinatorService",
        "nervenet.v1.RegistryService",
        "nervenet.v1.AgentService",
        "grpc.health.v1.Health",
        "grpc.channelz.v1.Channelz",
    } <= set(services)
    assert "rpc ResolveEscalation" in await grpcurl(address, "describe", "nervenet.v1.CoordinatorService")
    assert '"SERVING"' in await grpcurl(address, "grpc.health.v1.Health/Check")
    value = {"name": "Ada", "pages": [1, 2]}
    started = await call(
        address, "StartWorkflow", workflowId="g", definition="echo", input={"value": value}, wait="10s"
    )
    assert started["workflow"]["output"]["value"] == value
    again = await call(address, "GetWorkflow", workflowId="g")
    assert again["workflow"]["state"] == "WORKFLOW_STATE_SUCCEEDED"
    refused = await call(address, "GetWorkflow", workflowId="nobody")
    assert "NotFound" in refused and "WORKFLOW_NOT_FOUND" in refused  # reflection resolves ErrorInfo


async def test_a_node_that_drains_says_so_to_whoever_asks_for_its_health(world: World) -> None:
    node = await world.node()
    await node.drain()

    async def not_serving() -> bool:
        return '"NOT_SERVING"' in await grpcurl(node.address, "grpc.health.v1.Health/Check")

    await until(not_serving)
