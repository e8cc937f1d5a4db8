# SPDX-License-Identifier: Apache-2.0
"""The objects of the blob store: `<namespace>/<two hex digits>/<workflow>/<run>-<sha256>-<random>`.

It hides the store's errors. What may pass is `BlobsAway`, which is an error of the link: everything that waits for Redis and
tries again does so for the blob store too. What does not pass is `BlobMissing`.

A name is used once. So a sweep that removes an old object can never meet a process that has just written the same value
again and is about to write its reference. The digits spread workflows over 256 folders, which a sweep lists one by one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Final

from nervenet.blobs.reference import BlobMissing, Reference, folder_of
from nervenet.metrics import Registry, catalog
from nervenet.objects import ObjectMissing, SinkError
from nervenet.redis_link.faults import LinkError

if TYPE_CHECKING:
    from nervenet.clock import Entropy
    from nervenet.objects import ObjectSink

__all__ = ["SHARDS", "BlobMetrics", "BlobStore", "BlobsAway", "shard_of"]

AT_A_TIME: Final = 16
"""Objects that one process reads or writes at once: they are in memory meanwhile."""
SHARDS: Final = tuple(f"{number:02x}" for number in range(256))

_log = logging.getLogger(__name__)


class BlobsAway(LinkError):
    """The blob store does not answer or refuses. The same call may succeed in a moment."""

    retry = True


class BlobMetrics:
    """What a process writes to the blob store and reads from it."""

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry("agent")
        moved = registry.counters(catalog.BLOB_BYTES)
        self._written, self._read = moved.child("write"), moved.child("read")
        self._failures = registry.counters(catalog.BLOB_FAILURES)
        self._removed = registry.counters(catalog.BLOBS_REMOVED).child()

    def wrote(self, size: int) -> None:
        """An object is written."""
        self._written.add(size)

    def read(self, size: int) -> None:
        """An object is read."""
        self._read.add(size)

    def failed(self, why: str) -> None:
        """A call failed: `away`, or `missing`."""
        self._failures.child(why).add()

    def removed(self, count: int) -> None:
        """Objects that nobody needs are deleted."""
        self._removed.add(count)


class BlobStore:
    """See the module. One for each namespace of a process."""

    def __init__(self, sink: ObjectSink, metrics: BlobMetrics, entropy: Entropy) -> None:
        self.sink = sink
        self.metrics = metrics
        self._entropy = entropy
        self._at_once = asyncio.Semaphore(AT_A_TIME)

    def __repr__(self) -> str:
        return f"<BlobStore {self.sink!r}>"

    async def write(self, workflow_id: str, run: int, data: bytes, size: int) -> Reference:
        """Store a value. When this returns it is there. Raises BlobsAway.

        Args:
            workflow_id: Whose value it is.
            run: The run in which it is written.
            data: The value as a serialized `Payload`.
            size: Bytes of the value alone.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        reference = Reference(workflow_id, f"{run}-{sha256}-{self._entropy(8).hex()}", size, sha256)
        async with self._at_once:
            try:
                await self.sink.create(path_of(reference), data)
            except (SinkError, OSError) as error:
                raise self._away(error) from error
        self.metrics.wrote(len(data))
        return reference

    async def read(self, reference: Reference) -> bytes:
        """A value, checked against its digest. Raises BlobsAway, BlobMissing."""
        async with self._at_once:
            try:
                data = await self.sink.read(path_of(reference))
            except ObjectMissing:
                raise self._lost(reference, "is not in the blob store") from None
            except (SinkError, OSError) as error:
                raise self._away(error) from error
        if hashlib.sha256(data).hexdigest() != reference.sha256:
            raise self._lost(reference, f"is damaged in the blob store ({len(data):,} bytes with another digest)")
        self.metrics.read(len(data))
        return data

    def _away(self, error: Exception) -> BlobsAway:
        self.metrics.failed("away")
        return BlobsAway(f"the blob store (NERVENET_BLOBS): {error}")

    def _lost(self, reference: Reference, what: str) -> BlobMissing:
        self.metrics.failed("missing")
        return BlobMissing(
            f"a value of {reference.size:,} bytes {what}: {path_of(reference)}. Restore that object, or set NERVENET_BLOBS of this "
            "process to the store where it is"
        )


def shard_of(workflow_id: str) -> str:
    """The folder above that of a workflow."""
    return hashlib.sha256(workflow_id.encode()).hexdigest()[:2]


def path_of(reference: Reference) -> str:
    """Where an object lies below the folder of its namespace."""
    return f"{shard_of(reference.workflow_id)}/{folder_of(reference.workflow_id)}/{reference.name}"
