# SPDX-License-Identifier: Apache-2.0
"""AutoGen's distributed runtime: a host, a worker with the agent `step`, and callers that send four messages one after another.

The messages travel over gRPC, from the caller's runtime to the host, from there to the worker, and back the same way.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any, Final

from comparing.load import Callers
from comparing.work import STEPS, work

from .peer import CALLERS, Peer, free_port, ready

PEER: Final = Peer(
    name="autogen",
    module="autogen",
    environment="autogen",
    distributions=("autogen-core", "autogen-ext"),
    durability="nothing is stored: whatever is killed takes its messages along, and a caller whose worker was killed may wait for ever",
    processes={"host": "coordinator", "worker": "agent", "client": CALLERS},
    coordinator="coordinator",
)


@dataclass
class Text:
    text: str


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

    runtime = GrpcWorkerAgentRuntime(host_address=os.environ["BENCH_ADDRESS"])
    runtime.add_message_serializer(try_get_known_serializers_for_type(Text))
    await runtime.start()
    return runtime


async def _worker() -> None:
    from autogen_core import MessageContext, RoutedAgent, message_handler

    class Step(RoutedAgent):
        @message_handler
        async def on_text(self, message: Text, ctx: MessageContext) -> Text:
            await work("", message.text)
            return message

    runtime = await _runtime()
    await Step.register(runtime, "step", lambda: Step("Hands back what it got."))
    ready()
    await asyncio.Event().wait()


def client() -> None:
    import uvloop

    uvloop.run(_client())


async def _client() -> None:
    from autogen_core import AgentId

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
