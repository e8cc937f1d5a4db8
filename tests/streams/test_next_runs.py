# SPDX-License-Identifier: Apache-2.0
"""The next run of a workflow in Redis: what goes, what stays, what comes along, and who may do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.records import State
from tests.support.data_plane import FIRST, OTHER, OWNER

if TYPE_CHECKING:
    from nervenet.streams.answers import Appended
    from tests.support.data_plane import DataPlane


async def begin(
    store: DataPlane, workflow: str, folded: bytes, unread: tuple[bytes, ...] = (), run: int = 1
) -> Appended:
    ids = [each.decode() for each in unread]
    head = {"definition": "review", "version": 2}
    return await store.journal.begin_next(workflow, run, OWNER, OWNER, b"again", folded.decode(), ids, head)


async def test_the_journal_begins_anew_and_what_nobody_read_comes_along(store: DataPlane) -> None:
    journal, workflow = store.journal, await store.start()
    await journal.claim(workflow, 1, "classify", 1, FIRST)
    await journal.renew(workflow, 1, "classify", 1, FIRST, checkpoint=b"half")
    await journal.append(workflow, 1, "signal:read", b"1")
    unread = await journal.append(workflow, 1, "signal:unread", b"2")
    folded = await journal.append(workflow, 1, "task:extract", b"x")
    await journal.append(workflow, 1, "signal:late", b"3")
    await journal.append(workflow, 1, "task:late", b"y")
    await journal.append(workflow, 1, "cancel", b"4")
    answer = await begin(store, workflow, folded.id, (unread.id,))
    assert (answer.status, answer.run, answer.owner) == ("new", 2, OWNER)
    entries = await journal.read(workflow)
    assert [entry.name for entry in entries] == ["start", "signal:unread", "signal:late", "cancel"]
    assert [entry.data for entry in entries] == [b"again", b"2", b"3", b"4"]
    assert [entry.n for entry in entries] == [8, 9, 10, 11] and entries[0].id == answer.id
    head = await store.head(workflow)
    assert (head.run, head.state, head.last, head.version, head.size) == (2, State.RUNNING, entries[-1].id, 2, 8)
    assert (await journal.append(workflow, 2, "signal:unread", b"2")).status == "exists"
    assert (await journal.append(workflow, 2, "task:extract", b"z")).status == "new"
    look = await journal.look(workflow, ("classify",))
    assert look is not None and not look.claims
    claimed = await journal.claim(workflow, 2, "classify", 2, FIRST)
    assert (claimed.status, claimed.checkpoint) == ("run", None)


async def test_only_the_owner_of_an_open_run_begins_the_next_one_and_only_once(store: DataPlane) -> None:
    journal, workflow = store.journal, await store.start()
    assert (await begin(store, "nobody", b"0-0")).status == "unknown"
    assert (await begin(store, workflow, b"0-0")).status == "new"
    assert (await begin(store, workflow, b"0-0")).status == "stale"
    assert (await journal.append(workflow, 1, "task:extract", b"x")).status == "stale"
    assert (await journal.adopt(workflow, OTHER, OWNER)).status == "adopted"
    assert (await begin(store, workflow, b"0-0", run=2)).status == "not_owner"
    await journal.close(workflow, 2, OTHER, b"end", State.SUCCEEDED, 60_000)
    assert (await begin(store, workflow, b"0-0", run=2)).status == "closed"
