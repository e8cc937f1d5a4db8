# SPDX-License-Identifier: Apache-2.0
"""The answers of the journal's scripts, as values. Each script explains its statuses, in its first lines.

`Appended`, `Decision`, `Claimed` and `Restored` accept any content of the head's fields (owner, run, state): the caller
must learn that its entry was appended, even if the head is damaged. `Created`, `Adopted` and `Look` decide which node
runs a workflow, so they raise ValueError for unreadable fields; their caller turns it into `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from nervenet.records import State
from nervenet.streams.heads import STATES, Claim, Head, journal_id, owner_of, parse_claims, parse_head
from nervenet.streams.heads import number as bounded

__all__ = [
    "Adopted",
    "Appended",
    "Claimed",
    "Created",
    "Decision",
    "Look",
    "NewWorkflow",
    "RawEntry",
    "Restored",
    "parse_entries",
    "parse_status",
]

AppendStatus: TypeAlias = Literal["new", "exists", "stale", "not_owner", "unknown", "closed", "expired", "gap"]
DecideStatus: TypeAlias = Literal["new", "exists", "over", "not_asked", "stale", "not_owner", "unknown", "closed"]
ClaimStatus: TypeAlias = Literal["run", "done", "busy", "stale", "unknown"]
AdoptStatus: TypeAlias = Literal["adopted", "mine", "refused", "closed", "unknown"]
RestoreStatus: TypeAlias = Literal["whole", "restored", "created", "gap", "not_owner", "stale", "closed", "unknown"]

_WOKEN: Final = 2
"""Values of the longest answer of `task_complete` that has woken the owner."""
MOST_RUNS: Final = (1 << 31) - 1
_CLAIM_STATUSES: Final[dict[bytes, ClaimStatus]] = {
    b"run": "run",
    b"done": "done",
    b"busy": "busy",
    b"stale": "stale",
    b"unknown": "unknown",
}
_APPEND_STATUSES: Final[dict[bytes, AppendStatus]] = {
    b"new": "new",
    b"exists": "exists",
    b"stale": "stale",
    b"not_owner": "not_owner",
    b"unknown": "unknown",
    b"closed": "closed",
    b"expired": "expired",
}


class NewWorkflow(NamedTuple):
    """The values of a start. `created_ms` is the score that `running_add` returned; `labels` is JSON text;
    `request_hash` is a sha256; `runtime` is what can run the definition, such as `3.11` or `declared-1`."""

    workflow_id: str
    owner: str
    definition: str
    version: int
    runtime: str
    request_hash: bytes
    entry: bytes
    created_ms: int
    not_after_ms: int
    labels: str = ""
    trace: str = ""


class Created(NamedTuple):
    """`head` is the head of the existing workflow, None unless `status` is `exists`. If its owner is the caller, the
    start has succeeded: an earlier reply was lost."""

    status: Literal["created", "exists", "expired"]
    id: bytes
    head: Head | None

    @classmethod
    def parse(cls, reply: Sequence[bytes]) -> Created:
        if reply[0] == b"created":
            return cls("created", reply[1], None)
        if reply[0] == b"expired":
            return cls("expired", b"", None)
        head = parse_head(dict(zip(reply[1::2], reply[2::2], strict=True)))
        return cls("exists", b"", head)


class Appended(NamedTuple):
    """`id` is the journal id of the entry with that name, b"" if there is none; `owner` is the node to wake.
    `gap`: the journal lacks the entry after which its task was sent (`streams/recent.py`).

    `task_complete` may have done two things more. `woken`: it has put the entry into the owner's wake. `dropped`: it has also deleted
    the delivery that it was given. Then it answers with the id alone, and `owner`, `run` and `state` are not known.
    """

    status: AppendStatus
    id: bytes
    owner: str
    run: int
    state: State
    woken: bool = False
    dropped: bool = False

    @classmethod
    def parse(cls, reply: Sequence[bytes]) -> Appended:
        if len(reply) <= _WOKEN:
            return cls("new", reply[0], "", 0, State.RUNNING, True, len(reply) == _WOKEN)
        status, where, owner, run, state = reply
        try:
            number = int(run)
        except ValueError:  # a `try` costs nothing where nothing is raised
            number = 0
        return cls(
            _APPEND_STATUSES[status],
            where,
            owner.decode("utf-8", "replace"),
            number,
            STATES.get(state, State.RUNNING),
        )

    @property
    def recorded(self) -> bool:
        """Whether the journal has an entry of that name now, from this append or an earlier one."""
        return self.id != b""


class Decision(NamedTuple):
    """The journal ids of the three entries, b"" for an entry that does not exist."""

    status: DecideStatus
    owner: str
    run: int
    state: State
    decided: bytes
    outcome: bytes
    cancel: bytes

    @classmethod
    def parse(cls, reply: Sequence[bytes]) -> Decision:
        status, owner, run, state, decided, outcome, cancel = reply
        try:
            number = int(run)
        except ValueError:
            number = 0
        return cls(
            cast("DecideStatus", status.decode()),
            owner.decode("utf-8", "replace"),
            number,
            STATES.get(state, State.RUNNING),
            decided,
            outcome,
            cancel,
        )


class Claimed(NamedTuple):
    """`checkpoint` is the step's last one. It is only set with status `run`, from the second attempt on."""

    status: ClaimStatus
    owner: str
    checkpoint: bytes | None

    @classmethod
    def parse(cls, reply: Sequence[Any]) -> Claimed:
        status, owner, checkpoint = reply
        return cls(_CLAIM_STATUSES[status], owner.decode("utf-8", "replace"), checkpoint)


class RawEntry(NamedTuple):
    """One journal entry as it is stored. `data` is its message without sequence and time: those are `n` and `ms`."""

    id: bytes
    n: int
    ms: int
    name: str
    data: bytes


class Restored(NamedTuple):
    """`written` is the number of entries that were written back, `moved` the number of later entries now after them."""

    status: RestoreStatus
    owner: str
    last: bytes
    written: int
    moved: int

    @classmethod
    def parse(cls, reply: Sequence[Any]) -> Restored:
        status, owner, last, written, moved = reply
        return cls(cast("RestoreStatus", status.decode()), owner.decode("utf-8", "replace"), last, written, moved)


class Adopted(NamedTuple):
    """`entries` are the first of the journal. There are more if the `n` of the last one is less than that of
    `head.last`."""

    status: AdoptStatus
    head: Head | None
    claims: dict[str, Claim]
    entries: list[RawEntry]

    @classmethod
    def parse(cls, reply: Sequence[Any]) -> Adopted:
        status, fields, claims, entries = reply
        head = parse_head(dict(zip(fields[::2], fields[1::2], strict=True))) if fields else None
        found = parse_claims((step[2:], text) for step, text in zip(claims[::2], claims[1::2], strict=True))
        return cls(cast("AdoptStatus", status.decode()), head, found, parse_entries(entries))

    @property
    def complete(self) -> bool:
        """Whether `entries` is the whole journal, as of the adoption."""
        return self.head is not None and bool(self.entries) and self.entries[-1].id == self.head.last


class Look(NamedTuple):
    """An owner's view of its pending steps, read from the head alone (see `journal.JournalStore.look`)."""

    run: int
    owner: str
    last: bytes
    closed: bool
    done: frozenset[str]
    claims: dict[str, Claim]
    unreadable: tuple[str, ...] = ()
    """Steps with an unreadable claim: no agent can claim them until it is deleted."""

    @classmethod
    def parse(cls, steps: Sequence[str], reply: Sequence[bytes | None]) -> Look | None:
        run, closed, owner, last = reply[:4]
        if run is None or owner is None or last is None:
            return None
        markers = reply[4::2]
        claimed = {step: text for step, text in zip(steps, reply[5::2], strict=True) if text is not None}
        claims = parse_claims((step.encode(), text) for step, text in claimed.items())
        return cls(
            bounded(run, MOST_RUNS),
            owner_of(owner),
            journal_id(last),
            closed is not None,
            frozenset(step for step, marker in zip(steps, markers, strict=True) if marker),
            claims,
            () if len(claims) == len(claimed) else tuple(step for step in claimed if step not in claims),
        )

    @property
    def last_ms(self) -> int:
        """The time of the journal's last entry."""
        return int(self.last.partition(b"-")[0])

    @property
    def last_number(self) -> int:
        """The number of the journal's last entry."""
        return int(self.last.partition(b"-")[2])

    def with_more(self, more: Look) -> Look:
        """This look, and one at further steps a moment later."""
        return self._replace(
            closed=more.closed,
            done=self.done | more.done,
            claims=self.claims | more.claims,
            unreadable=self.unreadable + more.unreadable,
        )


def parse_entries(reply: Sequence[Any]) -> list[RawEntry]:
    """From a page of a journal: a list of `[id, [b"n", name, b"e", data]]`. An entry of another form gets the name "":
    it blocks its workflow, as any unreadable entry does."""
    found = []
    for where, fields in reply:
        ms, _, n = where.partition(b"-")
        try:
            found.append(RawEntry(where, int(n), int(ms), fields[1].decode(), fields[3]))
        except (IndexError, UnicodeDecodeError):
            found.append(RawEntry(where, int(n), int(ms), "", b""))
    return found


def parse_status(reply: bytes) -> AppendStatus:
    return _APPEND_STATUSES[reply]
