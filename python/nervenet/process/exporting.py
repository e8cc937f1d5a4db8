# SPDX-License-Identifier: Apache-2.0
"""The metrics of a process, shown to Prometheus (setting `metrics`) and sent to OpenTelemetry (OTEL_*).

    async with exporting(config, mesh.name) as exports:
        async with Node.open(…, metrics=exports.registry("node")): ...

The page is served before the node or the agent joins the mesh: an address that cannot be bound ends the start. Both roles
of one process share a page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from nervenet import telemetry
from nervenet.metrics import Registry

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.metrics.door import Door

__all__ = ["Exports", "exporting"]


class Exports:
    """Made by `exporting`. `address` is where the page is; None: nowhere."""

    def __init__(self, config: Config, service_name: str, stack: AsyncExitStack, door: Door | None) -> None:
        self._config = config
        self._service_name = service_name
        self._stack = stack
        self._door = door

    @property
    def address(self) -> str | None:
        return None if self._door is None else self._door.address

    def registry(self, role: str) -> Registry:
        """A new registry for a node or an agent, exported until the end."""
        return self._stack.enter_context(self.shown(role))

    @contextmanager
    def shown(self, role: str, namespace: str = "") -> Iterator[Registry]:
        """A new registry, exported within a block. `namespace`: a label of all its metrics, in a process that has several."""
        registry = Registry(role, self._config.metrics_labels, namespace)
        if self._door is not None:
            self._door.show(registry)
        end = telemetry.export_metrics(registry, self._service_name)
        try:
            yield registry
        finally:
            if self._door is not None:
                self._door.hide(registry)
            if end is not None:
                end()


@asynccontextmanager
async def exporting(config: Config, service_name: str) -> AsyncIterator[Exports]:
    """Raises ConfigError if the address of the setting `metrics` cannot be bound."""
    async with AsyncExitStack() as stack:
        door = None
        if config.metrics is not None:
            from nervenet.metrics.door import Door  # only those that serve it load it

            door = await stack.enter_async_context(Door.open(config.metrics))
        yield Exports(config, service_name, stack, door)
