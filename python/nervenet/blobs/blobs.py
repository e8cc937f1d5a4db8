# SPDX-License-Identifier: Apache-2.0
"""Large values out of what goes to Redis, and into what comes from there.

    data = await blobs.store_entry(workflow_id, run, data)      # before a journal entry is appended
    data = await blobs.fill_entry(data, workflow_id)            # before it is folded

Both take the stored bytes, so their callers need not know which fields have values. `is_large` and `has_reference` say in less than a
microsecond that there is nothing to do. Questions to people stay whole: lists of them are read at every look.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from nervenet.blobs.reference import MARK, BlobMissing, Reference, folder_of, is_reference, size_of
from nervenet.codecs.layout import CodecError, parsed, serialized
from nervenet.records import UnreadableEntry
from nervenet.wire import decode_entry, payload_in, payload_out
from nervenet.wire.within import payloads_in, stored_entry, stored_envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from nervenet.blobs.store import BlobStore
    from nervenet.records import Entry, Payload

__all__ = ["Blobs", "weight_of"]

_log = logging.getLogger(__name__)


class Blobs:
    """One for each namespace of a process.

    Args:
        store: Where the values lie.
        threshold: Values of more bytes than this go there.
        on_read: Gets each value as it was stored: where it is encrypted, its key must be known before it is decoded.
    """

    def __init__(self, store: BlobStore, threshold: int, on_read: Callable[[bytes], None] | None = None) -> None:
        self.store = store
        self._threshold = threshold
        self._on_read = on_read

    def __repr__(self) -> str:
        return f"<Blobs above {self._threshold:,} bytes in {self.store!r}>"

    def is_large(self, data: bytes) -> bool:
        """Whether stored bytes may have a value that goes to the store."""
        return len(data) > self._threshold or MARK in data

    @staticmethod
    def has_reference(data: bytes) -> bool:
        """Whether stored bytes may have a value that lies in the store."""
        return MARK in data

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def store_entry(self, workflow_id: str, run: int, data: bytes) -> bytes:
        """A journal entry with references in the place of large values, which are in the store then. Raises BlobsAway, and
        BlobMissing where it has a value of another workflow that is gone."""
        return await self._stored(workflow_id, run, data, stored_entry) if self.is_large(data) else data

    async def store_envelope(self, workflow_id: str, run: int, data: bytes) -> bytes:
        """The same for a task."""
        return await self._stored(workflow_id, run, data, stored_envelope) if self.is_large(data) else data

    async def _stored(self, workflow_id: str, run: int, data: bytes, parse: Callable[[bytes], Message]) -> bytes:
        try:
            folder_of(workflow_id)
        except ValueError:
            return data  # its id is too long for the name of a folder: its values stay in Redis
        message = parse(data)
        moved = [self._move(workflow_id, run, one) for one in payloads_in(message, questions=False)]
        changed = await asyncio.gather(*moved)
        return message.SerializeToString() if any(changed) else data

    async def _move(self, workflow_id: str, run: int, message: Any) -> bool:
        payload = payload_in(message)
        if is_reference(payload):
            if Reference.parse(payload).workflow_id == workflow_id:
                return False
            payload = await self._read(payload)  # each workflow has its own copy: the other one may end first
        elif payload.size <= self._threshold:
            return False
        reference = await self.store.write(workflow_id, run, serialized(payload), payload.size)
        message.CopyFrom(payload_out(reference.payload()))
        return True

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def fill_entry(self, data: bytes, workflow_id: str) -> bytes:
        """A journal entry with all its values. `workflow_id`: whose values it may have. Raises BlobsAway, BlobMissing."""
        if MARK not in data:
            return data
        try:
            message = stored_entry(data)
        except DecodeError:  # its reader reports it
            return data
        await asyncio.gather(*(self._fill(one, workflow_id) for one in payloads_in(message)))
        return message.SerializeToString()

    async def read_entry(self, name: str, data: bytes, n: int, ms: int, workflow_id: str) -> Entry:
        """A decoded entry with all its values. One whose value is missing cannot be read: that blocks its workflow, and says why.

        Raises BlobsAway.
        """
        try:
            filled = await self.fill_entry(data, workflow_id)
        except BlobMissing as error:
            return replace(decode_entry(name, data, n, ms), body=UnreadableEntry(str(error)))
        return decode_entry(name, filled, n, ms)

    async def fill(self, payload: Payload, workflow_id: str) -> Payload:
        """One value. Raises BlobsAway, BlobMissing."""
        return await self._read(payload, workflow_id) if is_reference(payload) else payload

    async def fill_message(self, message: Message, shape: Callable[[Payload], Any], room: int) -> None:
        """The values of an answer, in place. At most `room` bytes, and what cannot be read stays a reference: one value must
        not cost the caller the whole answer.

        Args:
            message: The answer.
            shape: From a value to the contract's message, in the form that the caller asked for.
            room: Bytes.
        """
        fitting = []
        for one in payloads_in(message):
            if is_reference(payload := payload_in(one)):
                room -= size_of(payload)
                if room >= 0:
                    fitting.append(self._show(one, payload, shape))
        await asyncio.gather(*fitting)

    async def _show(self, message: Any, payload: Payload, shape: Callable[[Payload], Any]) -> None:
        try:
            message.CopyFrom(shape(await self._read(payload)))
        except BlobMissing as error:
            _log.warning("an answer tells a reference instead of its value: %s", error)

    async def _fill(self, message: Any, workflow_id: str) -> None:
        payload = payload_in(message)
        if is_reference(payload):
            message.CopyFrom(payload_out(await self._read(payload, workflow_id)))

    async def _read(self, payload: Payload, workflow_id: str | None = None) -> Payload:
        reference = Reference.parse(payload)
        if workflow_id is not None and reference.workflow_id != workflow_id:
            raise BlobMissing(
                f"its reference is to a value of workflow {reference.workflow_id}, and a workflow reads its own values only: "
                "nervenet did not write it"
            )
        data = await self.store.read(reference)
        if self._on_read is not None:
            self._on_read(data)
        try:
            return parsed(data)
        except CodecError as error:
            raise BlobMissing(f"its value in the blob store cannot be read: {error}") from None


def weight_of(data: bytes) -> int:
    """Bytes of a stored entry with its values, wherever they lie."""
    if MARK not in data:
        return len(data)
    try:
        found = [payload_in(one) for one in payloads_in(stored_entry(data))]
        return len(data) + sum(Reference.parse(one).size for one in found if is_reference(one))
    except (DecodeError, BlobMissing):
        return len(data)


def names_in(data: bytes) -> set[str]:
    """The names of the objects to which a stored entry refers."""
    if MARK not in data:
        return set()
    try:
        found = [payload_in(one) for one in payloads_in(stored_entry(data))]
        return {Reference.parse(one).name for one in found if is_reference(one)}
    except (DecodeError, BlobMissing):
        return set()
