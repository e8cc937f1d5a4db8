# SPDX-License-Identifier: Apache-2.0
"""From the setting `blobs` to the blob store. A process tries it before it begins to work."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Final

from nervenet.blobs.blobs import Blobs
from nervenet.blobs.store import BlobMetrics, BlobStore
from nervenet.clock import new_id
from nervenet.errors import ConfigError
from nervenet.objects import ObjectMissing, SinkError, SinkRefused, open_sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.clock import Entropy
    from nervenet.config import Config
    from nervenet.metrics import Registry
    from nervenet.objects import ObjectSink

__all__ = ["open_blobs", "try_store"]

TRIAL: Final = 10.0
"""Seconds for the trial at the start. A store that is slower is away."""

_log = logging.getLogger(__name__)


async def open_blobs(
    config: Config,
    registry: Registry | None = None,
    entropy: Entropy = os.urandom,
    on_read: Callable[[bytes], None] | None = None,
) -> Blobs | None:
    """The blob store of this process; None without the setting. A store that is away is logged: it may come back.

    Raises ConfigError: the store refuses the credentials, has no such bucket, or obstore is not installed.
    """
    if config.blobs is None:
        return None
    sink = open_sink(config.blobs, config.namespace, "blobs")
    try:
        await try_store(sink)
    except (SinkRefused, ObjectMissing) as error:
        raise ConfigError(
            f"blobs is {config.blobs} (from {config.sources['blobs']}), and a trial write was refused: {error}. Give this process "
            "credentials that may create, read, list and delete there, and make the bucket"
        ) from None
    except SinkError as error:
        _log.warning("the blob store %s does not answer (%s); large values wait for it", config.blobs, error)
    return Blobs(BlobStore(sink, BlobMetrics(registry), entropy), config.blob_threshold, on_read)


async def try_store(sink: ObjectSink) -> None:
    """Write an object, read it and remove it. Raises SinkError."""
    name = f"trial/{new_id('t')}"
    try:
        async with asyncio.timeout(TRIAL):
            await sink.create(name, b"nervenet")
            if await sink.read(name) != b"nervenet":
                raise SinkError("it returns other bytes than were written")
            await sink.delete(name)
    except TimeoutError:
        raise SinkError(f"no answer within {TRIAL:g} s") from None
