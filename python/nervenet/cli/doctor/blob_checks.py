# SPDX-License-Identifier: Apache-2.0
"""The blob store: whether this machine may write, read and delete there."""

from __future__ import annotations

from nervenet.blobs.opening import try_store
from nervenet.cli.doctor.check import Check, error, ok
from nervenet.config import Config
from nervenet.errors import ConfigError
from nervenet.objects import ObjectMissing, SinkError, SinkRefused, open_sink


async def blob_checks(config: Config) -> list[Check]:
    """None without the setting `blobs`."""
    if config.blobs is None:
        return []
    try:
        await try_store(open_sink(config.blobs, config.namespace, "blobs"))
    except ConfigError as fault:
        return [error("blobs", str(fault), "install it, or correct NERVENET_BLOBS")]
    except (SinkRefused, ObjectMissing) as fault:
        cure = "give this machine credentials that may create, read, list and delete there, and make the bucket"
        return [error("blobs", f"a trial write was refused: {fault}", cure)]
    except SinkError as fault:
        cure = "repair the store: large values wait for it, and workflows that need one wait too"
        return [error("blobs", f"it does not answer: {fault}", cure)]
    return [
        ok("blobs", f"an object was written, read and deleted; values above {config.blob_threshold:,} bytes go there")
    ]
