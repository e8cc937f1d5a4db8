# SPDX-License-Identifier: Apache-2.0
"""A mesh of nodes in this process, and agents by hand."""

from __future__ import annotations

from typing import Any

from tests.gateway.app import mesh
from tests.gateway.world import Speaker
from tests.support.nodes import NodesHere


class Net(NodesHere):
    """One namespace on real servers."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)

    async def speaker(self, handlers: dict[str, Any], *, at: Any = None, **more: Any) -> Speaker:
        addresses = at or (lambda: [node.address for node in self.nodes])
        return await self.stack.enter_async_context(Speaker(addresses, handlers, **more))
