# SPDX-License-Identifier: Apache-2.0
"""`running`: a whole mesh within this process and loop, for tests and notebooks; only the servers are processes.

Settings of the environment and of `nervenet.toml` do not count here: a test must not reach somebody's real mesh.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nervenet.config import Config
from nervenet.dev.folder import locked
from nervenet.dev.servers import Server, backing
from nervenet.imports import refuse_here
from nervenet.mesh import Mesh
from nervenet.process.together import serving

if TYPE_CHECKING:
    from nervenet.client.client import Client

T = TypeVar("T")


@asynccontextmanager
async def running(*meshes: Mesh, data: Path | None = None) -> AsyncIterator[Client]:
    """A client of these meshes, which one node and one agent in this process serve until the block is left.

        async with nervenet.dev.running(mesh) as client:
            assert await client.run(welcome, ["Ada"]) == ["Hello, Ada"]

    Valkey and etcd run as child processes, from PATH or from the extra `nervenet[embedded]`. Settings of the
    environment
    and of `nervenet.toml` are not used, so a test cannot reach a real mesh.

    Args:
        meshes: The meshes to serve.
        data: A folder for the data. Workflows continue when a later block uses the same folder.
            Default: a temporary folder.

    Raises:
        ValueError: There is no mesh.
        ServerMissing: There is no Valkey or etcd. The message says how to install them.
        ServerFailed: Valkey or etcd does not start. The message has its last words.
    """
    refuse_here("a mesh")
    if not meshes:
        raise ValueError("running() needs a mesh: async with nervenet.dev.running(mesh) as client: …")
    whole = Mesh(meshes[0].name)
    whole.include(*meshes)
    async with AsyncExitStack() as stack:
        if data is not None:
            stack.enter_context(locked(data))
            shutil.rmtree(data / "etcd", ignore_errors=True)  # every earlier process is dead, see supervisor
        redis, etcd = await stack.enter_async_context(backing(data))
        config = isolated(redis, etcd)
        yield await stack.enter_async_context(serving(whole, config, node=True, agents=True))


def isolated(redis: Server, etcd: Server, **more: Any) -> Config:
    """The settings of a mesh on these servers. Nothing outside can change them."""
    return Config.load(
        environ={},
        directory=redis.data,
        redis=redis.local_url,
        etcd=etcd.url,
        listen="127.0.0.1:0",
        drain="5s",
        replay_check=True,
        **more,
    )


@asynccontextmanager
async def in_one_task(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context in the same task, whichever tasks enter and leave this one.

    pytest's async fixtures begin in one task and end in another. Lifespans with cancel scopes or timeouts do not
    survive that.
    """
    entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        async with context as value:
            entered.set_result(value)
            await leave.wait()

    holding = asyncio.create_task(hold())
    await asyncio.wait((holding, entered), return_when=asyncio.FIRST_COMPLETED)
    try:
        if entered.done():
            yield entered.result()
    finally:
        leave.set()
        await holding
