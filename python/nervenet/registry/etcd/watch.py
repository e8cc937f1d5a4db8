# SPDX-License-Identifier: Apache-2.0
"""List, then watch: all changes under a prefix, without losing or repeating one.

It hides disconnects, members that are suspended or lose their leader, fragments and compaction. It continues from the
next revision after the last event that was returned, never from the revision in a header: that may be ahead of events
which are still to come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, NamedTuple

from nervenet.backoff import Backoff
from nervenet.registry._etcd import etcd_pb2 as pb
from nervenet.registry.etcd.faults import Compacted, EtcdError, EtcdRefused, EtcdUnavailable, StaleToken
from nervenet.registry.etcd.keys import KeyListing, KeyValue, as_key_value, prefix_end, to_bytes
from nervenet.registry.etcd.transport import EtcdMethod, Stream, Transport

log = logging.getLogger(__name__)

_WATCH: Final = EtcdMethod[pb.WatchRequest, pb.WatchResponse]("/etcdserverpb.Watch/Watch", pb.WatchResponse)

CREATED_WITHIN: Final = 3.0


class Change(NamedTuple):
    """One key was put, or deleted (`deleted`): then `kv` has only key and mod_revision."""

    kv: KeyValue
    deleted: bool


class Changes(NamedTuple):
    """The events up to `revision`, in order. A revision is never split over two of these."""

    changes: list[Change]
    revision: int


class Snapshot(NamedTuple):
    """All keys under the prefix as of `revision`. Any other key does not exist."""

    kvs: list[KeyValue]
    revision: int


class Watch:
    """Iterate over it: a Snapshot, then Changes for ever. Another Snapshot means that history was lost: compare with
    it.

    `live` is true while a member is connected and sends changes. False is no error: the content is outdated. The
    iteration raises an error only if etcd refuses the first list.
    """

    def __init__(
        self,
        transport: Transport,
        list_all: Callable[[str], Awaitable[KeyListing]],
        get_at: Callable[[str, int], Awaitable[KeyValue | None]],
        prefix: str,
    ) -> None:
        self._transport, self._list, self._get_at, self._prefix = transport, list_all, get_at, prefix
        self._backoff = Backoff(transport.chance, longest=2.0)
        self._next = 0
        self._seen: KeyValue | None = None  # the newest put, which identifies this history
        self._listed = False
        self._logged = False  # of the present interruption
        self.live = False

    def __repr__(self) -> str:
        return f"<Watch {self._prefix} next {self._next} {'live' if self.live else 'not connected'}>"

    async def __aiter__(self) -> AsyncGenerator[Snapshot | Changes, None]:
        while True:
            if not self._next:
                listing = await self._snapshot()
                self._next = listing.revision + 1
                self._seen = max(listing.kvs, key=lambda kv: kv.mod_revision, default=None)
                yield Snapshot(listing.kvs, listing.revision)
            try:
                async with aclosing(self._follow()) as news:
                    async for changes in news:
                        yield changes
            except Compacted:
                self._next = 0
                continue
            except EtcdError as fault:
                level, self._logged = logging.DEBUG if self._logged else logging.INFO, True
                log.log(level, "watch of %s interrupted: %s", self._prefix, fault)
                if isinstance(fault, StaleToken):
                    self._transport.forget_token()
            await asyncio.sleep(self._backoff.next())

    async def _snapshot(self) -> KeyListing:
        while True:
            try:
                listing = await self._list(self._prefix)
                self._listed = True
                return listing
            except EtcdUnavailable as fault:
                log.info("list of %s: %s", self._prefix, fault)
            except EtcdRefused as refusal:
                if not self._listed:
                    raise
                log.warning("list of %s: %s", self._prefix, refusal)
            await asyncio.sleep(self._backoff.next())

    async def _follow(self) -> AsyncGenerator[Changes, None]:
        stream = await self._transport.stream(_WATCH)
        try:
            await self._begin(stream)
            self.live = True
            self._logged = False
            self._backoff.reset()
            held: list[Change] = []
            while True:
                answer = _checked(await stream.receive())
                held += [Change(as_key_value(event.kv), event.type == pb.Event.DELETE) for event in answer.events]
                if answer.fragment:
                    continue
                if held:
                    self._next = held[-1].kv.mod_revision + 1
                    self._seen = next((kv for kv, deleted in reversed(held) if not deleted), self._seen)
                    yield Changes(held, held[-1].kv.mod_revision)
                    held = []
                elif not answer.created:
                    # A progress notice: the server sends it only to a watch that has all events up to here.
                    self._next = max(self._next, answer.header.revision + 1)
        except EtcdUnavailable:
            self._transport.rotate(stream.endpoint)
            raise
        finally:
            self.live = False
            stream.close()

    async def _begin(self, stream: Stream[pb.WatchRequest, pb.WatchResponse]) -> None:
        wanted = pb.WatchCreateRequest(
            key=to_bytes(self._prefix),
            range_end=prefix_end(self._prefix),
            start_revision=self._next,
            progress_notify=True,
            fragment=True,
        )
        try:
            async with asyncio.timeout(CREATED_WITHIN):
                await stream.send(pb.WatchRequest(create_request=wanted))
                created = _checked(await stream.receive())
        except TimeoutError:
            raise EtcdUnavailable(f"{stream.endpoint.name} did not begin the watch", sent=True) from None
        await self._same_history(created.header.revision)

    async def _same_history(self, revision: int) -> None:
        """Raise Compacted if this is another store than before: a new one, or one restored from a backup.

        Such a store counts its revisions from a lower number. A watch for a future revision would wait in silence. Or,
        after as many writes, it would continue in the middle of an unrelated history, without a visible gap. The
        cluster id and the raft term do not help: a new member with the same flags has the same ones.
        """
        if self._seen is not None:
            if await self._get_at(self._seen.key, self._seen.mod_revision) != self._seen:
                raise Compacted(f"etcd's history is another one: {self._seen.key} was put at {self._seen.mod_revision}")
        elif revision < self._next - 1 and (await self._list(self._prefix)).revision < self._next - 1:
            raise Compacted(f"etcd's history went back before revision {self._next - 1}")


def _checked(answer: pb.WatchResponse) -> pb.WatchResponse:
    if answer.compact_revision:
        raise Compacted(f"revisions before {answer.compact_revision} are compacted")
    if answer.canceled:
        reason = answer.cancel_reason
        if "auth" in reason or "permission" in reason or "user name" in reason:
            raise StaleToken(reason)
        raise EtcdUnavailable(f"etcd cancelled the watch: {reason or 'no reason given'}", sent=True)
    return answer
