# SPDX-License-Identifier: Apache-2.0
"""AutoGen's distributed runtime: a host, a worker with the agent `step`, and callers that send four messages one after another.

The messages travel over gRPC, from the caller's runtime to the host, from there to the worker, and back the same way.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from comparing.load import Callers
from comparing.work import STEPS

from .peer import CALLERS, Peer, free_port, ready

PEER: Final = Peer(
    name="autogen",
    module="autogen",
    environment="autogen",
    distributions=("autogen-core", "autogen-ext"),
    durability="nothing is stored: what was under way in a killed process is lost",
    processes={"host": "coordinator", "worker": "agent", "client": CALLERS},
    coordinator="coordinator",
)


def host() -> None:
    import uvloop

    uvloop.run(_host())


async def _host() -> None:
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost

    address = f"127.0.0.1:{free_port()}"
    GrpcWorkerAgentRuntimeHost(address=address).start()
    ready({"address": address})
    await asyncio.Event().wait()


def worker() -> None:
    import uvloop

    uvloop.run(_worker())


async def _runtime() -> Any:
    from autogen_core import try_get_known_serializers_for_type
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime

    from .autogen_work import Text

    runtime = GrpcWorkerAgentRuntime(host_address=os.environ["BENCH_ADDRESS"])
    runtime.add_message_serializer(try_get_known_serializers_for_type(Text))
    await runtime.start()
    return runtime


async def _worker() -> None:
    from .autogen_work import Step

    runtime = await _runtime()
    await Step.register(runtime, "step", lambda: Step("Hands back what it got."))
    ready()
    await asyncio.Event().wait()


def client() -> None:
    import uvloop

    uvloop.run(_client())


async def _client() -> None:
    from autogen_core import AgentId

    from .autogen_work import Text

    runtime = await _runtime()
    step = AgentId("step", "default")

    async def run(_workflow: str, text: str, _key: str) -> str:
        message = Text(text)
        for _ in range(STEPS["four"]):
            message = await runtime.send_message(message, step)
        return message.text

    callers = Callers(run)
    await callers.burst(1, 0)
    await callers.take_orders()
