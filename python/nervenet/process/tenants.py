# SPDX-License-Identifier: Apache-2.0
"""The nodes of a process that serves several namespaces: one node for each, behind one gRPC server and one HTTP door.

    async with Tenants.open(mesh, config, exports) as tenants:
        tenants.ids                              # {"team-a": "n-…", "team-b": "n-…"}
        await tenants.drain()

They share what knows of no namespace (`node.process_parts`): the process, its event loop, the connections, the code. What
fails in one namespace ends the node of that namespace only: its workflows continue on other nodes, and it is started
again here, with pauses (`supervision`), while the others go on.

Rejected: one node that knows several namespaces, because each of its parts would have to tell them apart, and a mistake in one
of them would show one tenant what belongs to another (docs/decisions/0043).
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from nervenet.errors import NervenetError
from nervenet.node.guards.crash_line import last_line
from nervenet.node.node import Node
from nervenet.node.process_parts import ProcessParts
from nervenet.node.services.several import SharedServer
from nervenet.supervision import supervise
from nervenet.telemetry.log_fields import bind_namespace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from nervenet.config import Config
    from nervenet.definitions import MeshDefinitions
    from nervenet.process.exporting import Exports

__all__ = ["Tenants"]

_log = logging.getLogger("nervenet.process")


class _Stopped(Exception):
    """The process ends."""


class _NodeFailed(NervenetError):
    """A part of a node keeps failing."""


class _Tenant:
    """One namespace: its node, kept running."""

    def __init__(
        self, mesh: MeshDefinitions, config: Config, exports: Exports, parts: ProcessParts, server: SharedServer
    ) -> None:
        self.namespace = config.namespace
        self.node: Node | None = None
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[Exception | None] = loop.create_future()
        """Done as soon as it serves (None), or has failed to for the first time (the error)."""
        self._mesh, self._config, self._exports = mesh, config, exports
        self._parts, self._server = parts, server
        self._stopping = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Tenant {self.namespace}: {self.node or 'no node'}>"

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`."""
        bind_namespace(self.namespace)
        with suppress(_Stopped):
            await supervise(f"namespace {self.namespace}", self._live, on_change=self._changed, fatal=(_Stopped,))

    def _changed(self, error: Exception | None) -> None:
        if error is not None and not self.first.done():
            self.first.set_result(error)

    async def _live(self) -> None:
        """One node from its start to its end. Raises the reason of its end."""
        if self._stopping.is_set():
            raise _Stopped
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        def fail(node_id: str, error: Exception) -> None:
            if not failed.done():
                failed.set_result(_NodeFailed(f"node {node_id} has ended: {error!r}"))

        with self._exports.shown("node", self.namespace) as registry:
            async with Node.open(
                self._mesh.workflows,
                self._config,
                serve=self._server.serve,
                last_line=last_line,
                on_failure=fail,
                metrics=registry,
                parts=self._parts,
            ) as self.node:
                if not self.first.done():
                    self.first.set_result(None)
                try:
                    await _either(failed, self._stopping)
                finally:
                    self.node = None
        raise failed.result() if failed.done() else _Stopped


class Tenants:
    """See the module. Made by `open`."""

    def __init__(self, tenants: list[_Tenant], server: SharedServer) -> None:
        self._tenants = tenants
        self._server = server

    def __repr__(self) -> str:
        return f"<Tenants {', '.join(tenant.namespace for tenant in self._tenants)}>"

    @property
    def address(self) -> str:
        return self._server.address

    @property
    def http(self) -> str | None:
        """Where HTTP is served. None: nowhere."""
        return self._server.http

    @property
    def scaler(self) -> str | None:
        """Where KEDA's external scaler is served. None: nowhere."""
        return self._server.scaler

    @property
    def ids(self) -> dict[str, str]:
        """The id of the node of each namespace that has one now."""
        return {tenant.namespace: tenant.node.node_id for tenant in self._tenants if tenant.node is not None}

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: MeshDefinitions, config: Config, exports: Exports) -> AsyncIterator[Self]:
        """Serve the namespaces of the settings; it serves as soon as one of them does. Raises what kept all from it."""
        async with AsyncExitStack() as stack:
            registry = exports.registry("node")
            opening = ProcessParts.open(mesh.workflows, config, name=f"node-{os.getpid()}", registry=registry)
            parts = await stack.enter_async_context(opening)
            server = await stack.enter_async_context(SharedServer.open(config, registry))
            tenants = [
                _Tenant(mesh, config.for_namespace(name), exports, parts, server) for name in config.served_namespaces
            ]
            lives = [asyncio.create_task(tenant.run(), name=f"namespace {tenant.namespace}") for tenant in tenants]
            try:
                found = await asyncio.gather(*(tenant.first for tenant in tenants))
                if all(error is not None for error in found):
                    raise found[0] or AssertionError
                yield cls(tenants, server)
            finally:
                await server.stop()  # before the nodes: calls under way still find theirs
                for tenant in tenants:
                    tenant.stop()
                await asyncio.wait(lives)

    async def drain(self) -> None:
        """Take nothing new in any namespace, give every workflow to another process."""
        nodes = [tenant.node for tenant in self._tenants if tenant.node is not None]
        for node, error in zip(
            nodes, await asyncio.gather(*(node.drain() for node in nodes), return_exceptions=True), strict=True
        ):
            if error is not None:
                _log.error("%r is not drained: other processes continue its workflows", node, exc_info=error)


async def _either(future: asyncio.Future[Any], event: asyncio.Event) -> None:
    """Until the future is done or the event is set."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((future, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
