# SPDX-License-Identifier: Apache-2.0
"""A workflow's journal, head and claims as typed calls. The scripts behind them implement law 2: each fact is recorded
once, under its name.

It hides the arguments and answers of the scripts. Callers can rely on this:

- a script is atomic: it has its whole effect, or none (Redis is full, the connection is lost);
- an answer has the owner as of that moment, so the caller knows which node to wake;
- each call may be repeated: after a lost reply the next answer is `exists`, `closed`, `mine` or `run`;
- entries are opaque bytes; their journal id `<ms>-<n>` has the time and the sequence number (1, 2, 3, … without gaps).

A method sends its command when it is called, not when it is awaited, so all commands of one tick leave in one write.
The calls on the hot path have a second form, `…_nowait`: one try, and a future with the raw reply, for `Claimed.parse`
or `Appended.parse`. It needs no coroutine for retries, which is about a third of a call's cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from nervenet.records import State
from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused, Unreadable
from nervenet.redis_link.link import Link
from nervenet.streams.answers import (
    Adopted,
    Appended,
    AppendStatus,
    Claimed,
    Created,
    Decision,
    Look,
    NewWorkflow,
    RawEntry,
    Restored,
    parse_entries,
    parse_status,
)
from nervenet.streams.heads import FIELDS, Head, parse_head
from nervenet.streams.keys import Keys
from nervenet.streams.queues import GROUP
from nervenet.streams.script import packaged_scripts
from nervenet.timing import CLAIM_TTL_MS

__all__ = ["CLAIM_TTL_MS", "JournalStore"]

PAGE_ENTRIES: Final = 500
PAGE_BYTES: Final = 1024 * 1024
ADOPT_ENTRIES: Final = 100
ADOPT_BYTES: Final = 256 * 1024
STEPS_OF_A_LOOK: Final = 500
"""Two fields of the head for each are read in one command."""
NOTE_BYTES: Final = 60
CUT: Final = "…"

_T = TypeVar("_T")


class JournalStore:
    """The journals of one namespace. It has no state of its own."""

    __slots__ = ("_append", "_claim", "_close", "_complete", "_create", "_keys", "_link", "_renew", "_scripts")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._scripts = {script.name: script for script in packaged_scripts()}
        self._append = self._scripts["journal_append"].sha
        self._claim = self._scripts["task_claim"].sha
        self._complete = self._scripts["task_complete"].sha
        self._close = self._scripts["workflow_close"].sha
        self._create = self._scripts["workflow_create"].sha
        self._renew = self._scripts["claims_renew"].sha

    # ── life of a workflow ───────────────────────────────────────────────────────────────────────────────────────────

    def create(self, new: NewWorkflow) -> Awaitable[Created]:
        """Create a workflow: the third step of a start, after `running_add` and `own` (see `ownership`)."""
        return _parsed(self._link.call(*self._creating(new)), Created.parse, new.workflow_id)

    async def create_here(self, new: NewWorkflow) -> Created:
        """`create`, one try, at the server that is connected now: for a caller who knows that this one has lost nothing lately. If it is
        gone, it raises `ConnectionLost`."""
        return await self._here(self._creating(new), Created.parse, new.workflow_id)

    def start_nowait(self, new: NewWorkflow) -> asyncio.Future[Any]:
        """All three steps of a start in one, one try; only where `link.in_order`. `Created.parse` reads the future's result."""
        return self._link.send(*self._creating(new, self._keys.running, self._keys.owned(new.owner)))

    def adopt(self, workflow_id: str, new_owner: str, expected_owner: str) -> Awaitable[Adopted]:
        """Replace the owner if it is `expected_owner`, and read what a replay needs first. With
        `expected_owner=new_owner` a node loads a workflow of its own."""
        keys = (self._keys.head(workflow_id), self._keys.journal(workflow_id))
        args = (new_owner, expected_owner, ADOPT_ENTRIES, ADOPT_BYTES)
        return _parsed(self._link.script(self._scripts["workflow_adopt"], keys, args), Adopted.parse, workflow_id)

    def close(
        self,
        workflow_id: str,
        run: int,
        owner: str,
        entry: bytes,
        state: State,
        retention_ms: int,
        at: str = "",
        note: str = "",
        *,
        hold_ms: int = 0,
        own_retention: bool = False,
    ) -> Awaitable[Appended]:
        """Append the last entry, set the state and start the retention. Status `closed`: it was closed before. The
        caller must still update the index (`Ownership.finish`).

        `hold_ms`: for how much longer it waits for the archive; 0: there is none. `own_retention`: the retention is not
        that of the mesh.

        `at` and `note` are the step that failed and the reason, for lists.
        """
        return _parsed(
            self._link.call(
                *self._closing(workflow_id, run, owner, entry, state, retention_ms, at, note, hold_ms, own_retention)
            ),
            Appended.parse,
            workflow_id,
        )

    def close_nowait(
        self,
        workflow_id: str,
        run: int,
        owner: str,
        entry: bytes,
        state: State,
        retention_ms: int,
        at: str = "",
        note: str = "",
        *,
        hold_ms: int = 0,
        own_retention: bool = False,
    ) -> asyncio.Future[Any]:
        """`close`, one try; `Appended.parse` reads the future's result."""
        words = self._closing(workflow_id, run, owner, entry, state, retention_ms, at, note, hold_ms, own_retention)
        return self._link.send(*words)

    def begin_next(
        self,
        workflow_id: str,
        run: int,
        owner: str,
        next_owner: str,
        entry: bytes,
        folded: str,
        unread: Sequence[str],
        head: Mapping[str, Arg],
        *,
        not_after_ms: int = 0,
    ) -> Awaitable[Appended]:
        """Begin the next run, atomically. `folded` is the id of the last entry that was folded; `unread` are the ids of
        the entries up to it that the next run must still read.

        With `owner` "" it begins a closed workflow again: the first caller succeeds, until `not_after_ms`.
        """
        fields = [word for pair in head.items() for word in pair]
        keys = (
            *self._keys.written(workflow_id),
            self._keys.live(workflow_id),
            *self._keys.copy_of_run(workflow_id, run),
        )
        args = (run, owner, next_owner, not_after_ms, entry, folded, len(unread), *unread, *fields)
        return _parsed(self._link.script(self._scripts["workflow_renew"], keys, args), Appended.parse, workflow_id)

    def restore(
        self,
        workflow_id: str,
        run: int,
        node_id: str,
        entries: Sequence[RawEntry],
        head: Mapping[str, Arg] | None,
        *,
        taken_from: str = "",
        closed: State | None = None,
        retention_ms: int = 0,
        own_retention: bool = False,
        hold_ms: int = 0,
    ) -> Awaitable[Restored]:
        """Write back those of the remembered entries that Redis has lost. They have their own ids, without gaps.

        `head` has the fields of the head, in case that it is lost too; only with entries from the first of the run on.
        `own_retention`: `retention_ms` is that of the workflow's definition.
        """
        fields = [word for pair in (head or {}).items() for word in pair]
        args: list[Arg] = [run, node_id, taken_from, "0" if head is None else "1", closed.value if closed else ""]
        args += [retention_ms, hold_ms, "1" if own_retention else "0", len(fields), *fields]
        for entry in entries:
            args += [entry.id, entry.name, entry.data]
        reply = self._link.script(self._scripts["journal_restore"], self._keys.written(workflow_id), args)
        return _parsed(reply, Restored.parse, workflow_id)

    # ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(
        self, workflow_id: str, run: int, name: str, entry: bytes, *, owner: str | None = None
    ) -> Awaitable[Appended]:
        """Append an entry once under `name`. With `owner`, only while that node owns the workflow (entries of
        coordinators)."""
        reply = self._link.call(*self._appending(workflow_id, run, name, entry, owner))
        return _parsed(reply, Appended.parse, workflow_id)

    def append_nowait(
        self, workflow_id: str, run: int, name: str, entry: bytes, *, owner: str | None = None
    ) -> asyncio.Future[Any]:
        """`append`, one try; `Appended.parse` reads the future's result."""
        return self._link.send(*self._appending(workflow_id, run, name, entry, owner))

    async def append_here(self, workflow_id: str, run: int, name: str, entry: bytes) -> Appended:
        """`append` for a caller who has just read something of the workflow, in the same tick: one try, at the server that answered. Where that is gone, it
        raises `ConnectionLost`, and the caller reads again, because the next one may have another life of the workflow, or less of it."""
        return await self._here(self._appending(workflow_id, run, name, entry, None), Appended.parse, workflow_id)

    async def _here(self, args: tuple[Arg, ...], parse: Callable[[Any], _T], workflow_id: str) -> _T:
        try:
            return await _parsed(self._link.send(*args), parse, workflow_id)
        except RedisRefused as refused:
            self._link.load_unknown(args, refused)
            raise

    def complete_nowait(
        self,
        workflow_id: str,
        run: int,
        name: str,
        entry: bytes,
        reply_to: str,
        delivery: tuple[bytes, bytes] | None = None,
        *,
        has_checkpoint: bool = True,
    ) -> asyncio.Future[Any]:
        """Append what an attempt ended with, and wake the owner if that is still the node `reply_to`, in one step. One
        try; only where `link.in_order`.

        Args:
            delivery: Stream and id of the entry that the attempt came with, to be deleted in the same step if the owner is woken.
            has_checkpoint: Whether this attempt or one before it may have left a checkpoint, to be deleted with its outcome.
        """
        keys = (*self._keys.written(workflow_id), self._keys.wake(reply_to))
        args = (run, name, entry, workflow_id, reply_to, "1" if has_checkpoint else "")
        if delivery is None:
            return self._link.send("EVALSHA", self._complete, 4, *keys, *args)
        stream, entry_id = delivery
        return self._link.send("EVALSHA", self._complete, 5, *keys, stream, *args, GROUP, entry_id)

    def decide(
        self,
        workflow_id: str,
        run: int,
        step: str,
        question_number: int,
        decided: bytes,
        *,
        outcome: bytes | None = None,
        cancel: bytes | None = None,
        owner: str | None = None,
    ) -> Awaitable[Decision]:
        """Decide escalation `<step>#<question_number>`, once. Without `outcome` the step stays open (a human granted a
        retry)."""
        keys = self._keys.written(workflow_id)
        args = (run, step, question_number, owner or "", decided, outcome or b"", cancel or b"")
        return _parsed(self._link.script(self._scripts["decision_append"], keys, args), Decision.parse, workflow_id)

    async def read(
        self, workflow_id: str, after: bytes | str = b"", count: int = PAGE_ENTRIES, room: int = PAGE_BYTES
    ) -> list[RawEntry]:
        """One page of the entries after the id `after`; an empty page is the end. Raises `Unreadable`."""
        start: bytes | str = "-" if not after else b"(" + (after if isinstance(after, bytes) else after.encode())
        keys = (self._keys.journal(workflow_id),)
        reply = self._link.script(self._scripts["journal_read"], keys, (start, count, room))
        return await _parsed(reply, parse_entries, workflow_id)

    async def entry_id(self, workflow_id: str, name: str) -> bytes:
        """The journal id of the entry of that name; b"" if there is none."""
        return await self._link.call("HGET", self._keys.head(workflow_id), f"e:{name}") or b""

    async def outcome_id(self, workflow_id: str, step: str) -> bytes:
        """The journal id of a step's outcome; b"" if the step is not over."""
        return await self.entry_id(workflow_id, f"task:{step}")

    async def has(self, workflow_id: str, name: str) -> bool:
        """Whether the current run has an entry of that name."""
        return bool(await self._link.call("HEXISTS", self._keys.head(workflow_id), f"e:{name}"))

    async def entry(self, workflow_id: str, at: bytes) -> tuple[str, bytes] | None:
        """Name and data of the entry with that journal id."""
        found = await self._link.call("XRANGE", self._keys.journal(workflow_id), at, at)
        (raw,) = parse_entries(found) if found else (None,)
        return (raw.name, raw.data) if raw is not None else None

    # ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def claim(
        self, workflow_id: str, run: int, step: str, attempt: int, agent_id: str, ttl_ms: int = CLAIM_TTL_MS
    ) -> Awaitable[Claimed]:
        """Ask to run one attempt. The agent may run it only if the status is `run`."""
        reply = self._link.call(*self._claiming(workflow_id, run, step, attempt, agent_id, ttl_ms))
        return _parsed(reply, Claimed.parse, workflow_id)

    def claim_nowait(
        self, workflow_id: str, run: int, step: str, attempt: int, agent_id: str, ttl_ms: int = CLAIM_TTL_MS
    ) -> asyncio.Future[Any]:
        """`claim`, one try; `Claimed.parse` reads the future's result."""
        return self._link.send(*self._claiming(workflow_id, run, step, attempt, agent_id, ttl_ms))

    def renew(
        self,
        workflow_id: str,
        run: int,
        step: str,
        attempt: int,
        agent_id: str,
        *,
        fraction: float | None = None,
        checkpoint: bytes | None = None,
        beat: bool = True,
        ttl_ms: int = CLAIM_TTL_MS,
    ) -> Awaitable[bool]:
        """Extend a claim. False: the claim is gone, the handler must stop. `beat`: the handler gave a sign of life."""
        head, checkpoints = self._keys.head(workflow_id), self._keys.checkpoints(workflow_id)
        done = "" if fraction is None else f"{fraction:.4g}"
        args: list[Arg] = [run, step, attempt, agent_id, ttl_ms, done, "1" if beat else "0"]
        if checkpoint is not None:
            args.append(checkpoint)
        return _parsed(self._link.call("EVALSHA", self._renew, 2, head, checkpoints, *args), bool, workflow_id)

    def forget_claim(self, workflow_id: str, step: str) -> Awaitable[int]:
        """Delete an unreadable claim; only the owner does this. If its agent is alive, the agent claims the attempt
        again."""
        return self._link.call("HDEL", self._keys.head(workflow_id), f"c:{step}")

    # ── the head ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def heads(
        self, workflow_ids: Iterable[str], fields: Sequence[str] | None = None
    ) -> list[tuple[str, Head | None]]:
        """Many heads with one write, in the order of the ids. `fields` (attributes of `Head`) limits what is read.

        None: there is no head. An unreadable head is left out and counted (`Link.skips`), so it affects its own
        workflow only.
        """
        names = _names(fields)
        ids = list(workflow_ids)
        replies = [self._link.call("HMGET", self._keys.head(each), *names) for each in ids]
        found: list[tuple[str, Head | None]] = []
        for workflow_id, reply in zip(ids, replies, strict=True):
            try:
                found.append((workflow_id, _head(names, await reply)))
            except ValueError as error:
                self._link.skips.skip(f"the head of {workflow_id}", error)
            except RedisRefused as error:
                if not error.is_of_one_key:
                    raise
                self._link.skips.skip(f"the head of {workflow_id}", error)
        return found

    def head(self, workflow_id: str, fields: Sequence[str] | None = None) -> Awaitable[Head | None]:
        """One head; None if there is none. Raises `Unreadable`."""
        names = _names(fields)
        reply = self._link.call("HMGET", self._keys.head(workflow_id), *names)
        return _parsed(reply, lambda values: _head(names, values), workflow_id)

    def look(self, workflow_id: str, steps: Sequence[str]) -> Awaitable[Look | None]:
        """Which of these pending steps are over, and which agents run the others. None: no head. Raises
        `Unreadable`. Thousands are read in parts, one after another: neither Redis nor this process is held up for long."""
        if len(steps) > STEPS_OF_A_LOOK:
            return _InParts(partial(self._look_in_parts, workflow_id, steps))
        fields = [f"{kind}:{step}" for step in steps for kind in ("e:task", "c")]
        reply = self._link.call("HMGET", self._keys.head(workflow_id), "run", "closed", "owner", "last", *fields)
        return _parsed(reply, lambda values: Look.parse(steps, values), workflow_id)

    async def _look_in_parts(self, workflow_id: str, steps: Sequence[str]) -> Look | None:
        whole: Look | None = None
        for first in range(0, len(steps), STEPS_OF_A_LOOK):
            part = await self.look(workflow_id, steps[first : first + STEPS_OF_A_LOOK])
            if part is None or (whole is not None and (part.run, part.owner) != (whole.run, whole.owner)):
                return part  # of another run or owner: what was read before counts no more
            whole = part if whole is None else whole.with_more(part)
        return whole

    def set_head(
        self,
        workflow_id: str,
        run: int,
        owner: str,
        *,
        state: State | None = None,
        at: str | None = None,
        note: str | None = None,
        blocked: bytes | None = None,
        view: bytes | None = None,
        survived: bool = False,
    ) -> Awaitable[AppendStatus]:
        """Write the fields that lists and watchers see; None leaves a field as it is. Status `new`: written.

        `survived`: the node adopted and replayed the run, and is alive, so this adoption no longer counts as
        unconfirmed. This holds even if another node owns the workflow by now.
        """
        args: list[Arg] = [run, owner, "0" if view is None else "1", view or b"", "1" if survived else "0"]
        if state is not None:
            args += ["state", state.value]
        if at is not None:
            args += ["at", clipped_note(at)]
        if note is not None:
            args += ["note", clipped_note(note)]
        if blocked is not None:
            args += ["blocked", blocked]
        keys = (self._keys.head(workflow_id), self._keys.view(workflow_id))
        return _parsed(self._link.script(self._scripts["head_set"], keys, args), parse_status, workflow_id)

    async def is_damaged(self, workflow_id: str) -> bool:
        """Whether the keys of head or journal hold other data than a head or a journal. Only their content can show
        it."""
        head, journal, _ = self._keys.written(workflow_id)
        kinds = [self._link.call("TYPE", key) for key in (head, journal)]
        of_head, of_journal = [(await kind).lower() for kind in kinds]
        if of_head not in (b"hash", b"none") or of_journal not in (b"stream", b"none"):
            return True
        try:
            await self.head(workflow_id)
        except Unreadable:
            return True
        return False

    async def discard(self, workflow_id: str) -> None:
        """Delete head, journal and checkpoints that hold other data. The caller must write them again."""
        await self._link.call("DEL", *self._keys.written(workflow_id))

    def watch(self, workflow_id: str, for_ms: int) -> Awaitable[bool]:
        """Publish each new entry, for `for_ms` from now. False: there is no head or it is closed, so no entry will
        follow."""
        reply = self._link.script(self._scripts["head_watch"], (self._keys.head(workflow_id),), (for_ms,))
        return _parsed(reply, bool, workflow_id)

    async def view(self, workflow_id: str) -> bytes | None:
        """The view that the workflow's code published last."""
        try:
            value: bytes | None = await self._link.call("GET", self._keys.view(workflow_id))
        except RedisRefused as error:
            if not error.wrong_type:
                raise
            self._link.skips.skip(f"the view of {workflow_id}", error)
            return None
        return value

    async def now_ms(self) -> int:
        """Redis' clock, the one clock of the mesh."""
        seconds, micros = await self._link.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    # ── the commands of the scripts on the hot path ──────────────────────────────────────────────────────────────────

    def _creating(self, new: NewWorkflow, *lists: bytes) -> tuple[Arg, ...]:
        head: tuple[Arg, ...] = ("owner", new.owner, "definition", new.definition, "version", new.version)
        head += ("python", new.runtime, "created", new.created_ms, "req", new.request_hash)
        if new.labels:
            head += ("labels", new.labels)
        if new.trace:
            head += ("trace", new.trace)
        key, journal, _ = self._keys.written(new.workflow_id)
        return ("EVALSHA", self._create, 2 + len(lists), key, journal, *lists, new.not_after_ms, new.entry, *head)

    def _appending(self, workflow_id: str, run: int, name: str, entry: bytes, owner: str | None) -> tuple[Arg, ...]:
        return ("EVALSHA", self._append, 3, *self._keys.written(workflow_id), run, name, entry, owner or "")

    def _closing(
        self,
        workflow_id: str,
        run: int,
        owner: str,
        entry: bytes,
        state: State,
        retention_ms: int,
        at: str,
        note: str,
        hold_ms: int,
        own_retention: bool,
    ) -> tuple[Arg, ...]:
        k = self._keys
        keys = (*k.written(workflow_id), k.live(workflow_id), k.view(workflow_id))
        texts = (clipped_note(at), clipped_note(note))
        last = (hold_ms, int(own_retention))
        return ("EVALSHA", self._close, 5, *keys, run, owner, entry, state.value, retention_ms, *texts, *last)

    def _claiming(
        self, workflow_id: str, run: int, step: str, attempt: int, agent_id: str, ttl_ms: int
    ) -> tuple[Arg, ...]:
        head, _, checkpoints = self._keys.written(workflow_id)
        return ("EVALSHA", self._claim, 2, head, checkpoints, run, step, attempt, agent_id, ttl_ms)


class _InParts(Awaitable[_T]):
    """Work that begins when it is awaited. It is no coroutine, for the reason that `_parsed` gives."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[], Awaitable[_T]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._begin().__await__()


class _parsed(Awaitable[_T]):  # noqa: N801 - it is used like a function
    """A reply that is parsed when it is awaited. Raises `Unreadable` if the keys hold other data.

    It is no coroutine, as in `Link.call`: when one of many calls fails the caller drops the others, and Python warns of
    a coroutine that is never awaited.
    """

    __slots__ = ("_parse", "_reply", "_workflow_id")

    def __init__(self, reply: Awaitable[Any], parse: Callable[[Any], _T], workflow_id: str) -> None:
        self._reply, self._parse, self._workflow_id = reply, parse, workflow_id

    def __await__(self) -> Generator[Any, Any, _T]:
        try:
            return self._parse((yield from self._reply.__await__()))
        except ValueError as error:
            raise Unreadable(f"the head of {self._workflow_id}", error) from None
        except RedisRefused as error:
            if error.is_of_one_key:
                raise Unreadable(f"head or journal of {self._workflow_id}", error) from None
            raise


def _names(fields: Sequence[str] | None) -> list[bytes]:
    return [b"run", *(FIELDS[field] for field in (fields or FIELDS) if field != "run")]


def _head(names: Sequence[bytes], values: Sequence[bytes | None]) -> Head | None:
    return None if values[0] is None else parse_head(dict(zip(names, values, strict=True)))


def clipped_note(text: str) -> str:
    """At most 60 bytes, so that Redis keeps the head as a listpack. It never cuts a character in two, and no word if it can."""
    if len(text.encode()) <= NOTE_BYTES:
        return text
    kept = text.encode()[: NOTE_BYTES - len(CUT.encode())].decode(errors="ignore")
    whole = kept.rpartition(" ")[0]
    return (whole if len(whole) > len(kept) // 2 else kept).rstrip(" ,:;.(") + CUT
