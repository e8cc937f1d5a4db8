# SPDX-License-Identifier: Apache-2.0
"""The settings of the agent process that opens a lifespan: how a lifespan makes a client of the same mesh.

    @asynccontextmanager
    async def client() -> AsyncIterator[Client]:
        async with Client(config=current_config()) as client:
            yield client

`Config.load()` would read the environment and the file alone. It knows neither the flags of `nervenet agent` nor the
settings that a program gave to `Mesh.serve` or that `nervenet.dev.running` has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nervenet.config import Config

__all__ = ["current_config", "opening"]

_config: ContextVar[Config | None] = ContextVar("nervenet_agent_config", default=None)


def current_config() -> Config:
    """The settings of the agent that opens this lifespan. Elsewhere: `Config.load()`.

    Raises:
        ConfigError: A setting of the environment or the file is wrong.
    """
    return _config.get() or Config.load()


@contextmanager
def opening(config: Config) -> Iterator[None]:
    """While the block runs, an agent with these settings opens its lifespans."""
    token = _config.set(config)
    try:
        yield
    finally:
        _config.reset(token)
