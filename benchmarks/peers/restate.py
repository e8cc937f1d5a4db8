# SPDX-License-Identifier: Apache-2.0
"""Restate: its server, a service of four journaled steps that Hypercorn serves, and callers of the server's HTTP ingress.

The server keeps the journal and pushes each call to the service over HTTP/2. The steps run in the service, by `ctx.run`.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from comparing.load import Callers

from .peer import CALLERS, Peer, free_port, ready

if TYPE_CHECKING:
    from nervenet.dev.servers import Server

MANY: Final = 2**31 - 1
_FOLDER: Final = Path(__file__).parent / "restate_server"
_PACKAGES: Final = json.loads((_FOLDER / "package.json").read_text())


def _server(_python: Path, folder: Path) -> Server:
    from environments import npm_program

    from nervenet.dev.servers import Server

    program = npm_program(_FOLDER, "@restatedev/restate-server-*/bin/restate-server")

    def command(port: int, where: Path) -> list[str]:
        admin = free_port()
        (where / "admin").write_text(f"http://127.0.0.1:{admin}")
        settings = {
            "RESTATE_NODE_NAME": "one",
            "RESTATE_DEFAULT_NUM_PARTITIONS": "4",  # for a machine with few cores: faster than the default, 24
            "RESTATE_BASE_DIR": str(where / "data"),
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{free_port()}",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{port}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_LOG_FILTER": "restate=info",
            "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
            "DO_NOT_TRACK": "1",
        }
        return ["/usr/bin/env", *(f"{key}={value}" for key, value in settings.items()), str(program)]

    return Server("restate", command, "Restate Server", scheme="http", data=folder, port=0)


PEER: Final = Peer(
    name="restate",
    module="restate",
    environment="restate",
    distributions=("restate-sdk",),
    durability=(
        "the service may be killed: another one continues, finished steps do not run again; so may the server, which has to be started again;"
        " each write to its log is on disk"
    ),
    processes={"service": "agent", "client": CALLERS},
    coordinator="coordinator",
    also=", ".join(f"{name.rpartition('/')[2]} {number}" for name, number in _PACKAGES["dependencies"].items()),
    program=_server,
)


def service() -> None:
    import uvloop

    uvloop.run(_service())


async def _service() -> None:
    import aiohttp
    import restate
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from .restate_work import four

    config = Config()
    config.bind = [f"127.0.0.1:{free_port()}"]
    config.h2_max_concurrent_streams = config.keep_alive_max_requests = config.keep_alive_timeout = MANY
    serving = asyncio.create_task(serve(restate.app(services=[four]), config))
    admin = (Path(os.environ["BENCH_FOLDER"]) / "admin").read_text()
    async with aiohttp.ClientSession() as session:
        deployment = {"uri": f"http://{config.bind[0]}"}
        async with asyncio.timeout(60):
            while True:
                try:
                    async with session.post(f"{admin}/deployments", json=deployment) as answer:
                        if answer.ok:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.2)
    ready()
    await serving


def client() -> None:
    import uvloop

    uvloop.run(_client())


async def _client() -> None:
    import aiohttp

    url = f"{os.environ['BENCH_ADDRESS']}/four/run"
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=timedelta(minutes=3).total_seconds())
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def run(_workflow: str, text: str, key: str) -> str:
            async with session.post(url, json=text, headers={"idempotency-key": key}) as answer:
                answer.raise_for_status()
                return str(await answer.json())

        callers = Callers(run)
        await callers.burst(1, 0)
        await callers.take_orders()
