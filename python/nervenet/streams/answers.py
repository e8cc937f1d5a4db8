# SPDX-License-Identifier: Apache-2.0
"""What the journal's scripts answer, as values. Each status is explained where the script lists its answers.

The fields of a head that an answer carries (owner, run, state) are read totally: whoever appended must hear that it is
done, whatever else stands in that head. `Created`, `Adopted` and `Look`, by which it is decided who runs a workflow, raise
ValueError instead, and their caller makes it `Unreadable`.
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

AppendStatus: TypeAlias = Literal["new", "exists", "stale", "not_owner", "unknown", "closed", "expired"]
DecideStatus: TypeAlias = Literal["new", "exists", "over", "not_asked", "stale", "not_owner", "unknown", "closed"]
ClaimStatus: TypeAlias = Literal["run", "done", "busy", "stale", "unknown"]
AdoptStatus: TypeAlias = Literal["adopted", "mine", "refused", "closed", "unknown"]
RestoreStatus: TypeAlias = Literal["whole", "restored", "created", "gap", "not_owner", "stale", "closed", "unknown"]

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
    """What a start brings. `created_ms` is the score that `running_add` gave; `labels` is JSON text, `req` a sha256."""

    workflow_id: str
    owner: str
    definition: str
    version: int
    python: str
    req: bytes
    entry: bytes
    created_ms: int
    not_after_ms: int
    labels: str = ""
    trace: str = ""


class Created(NamedTuple):
    """`head` is that of the workflow which was there before, None unless `exists`. Finding *me* as owner is success."""

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
    """`id` is the journal id under which the name stands, b"" if it does not; `owner` is whom to wake."""

    status: AppendStatus
    id: bytes
    owner: str
    run: int
    state: State

    @classmethod
    def parse(cls, reply: Sequence[bytes]) -> Appended:
        status, where, owner, run, state = reply
        try:
            number = int(run)
        except ValueError:  # zero-cost where it is one
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
        """Whether the name stands in the journal now, by whomever."""
        return self.id != b""


class Decision(NamedTuple):
    """The ids are those under which the three names stand, b"" where one does not."""

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
    """`checkpoint` is the step's last one, only with `run` and from the second attempt on."""

    status: ClaimStatus
    owner: str
    checkpoint: bytes | None

    @classmethod
    def parse(cls, reply: Sequence[Any]) -> Claimed:
        status, owner, checkpoint = reply
        return cls(_CLAIM_STATUSES[status], owner.decode("utf-8", "replace"), checkpoint)


class RawEntry(NamedTuple):
    """One journal entry as it lies there; `data` is its message without sequence and time, which are `n` and `ms`."""

    id: bytes
    n: int
    ms: int
    name: str
    data: bytes


class Restored(NamedTuple):
    """`written` entries went back in; `moved` of others, appended meanwhile, stand behind them now."""

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
    """`entries` are the journal's first; there are more while the last one's `n` is below that of `head.last`."""

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
        """Whether `entries` is the whole journal (as of the adoption)."""
        return self.head is not None and bool(self.entries) and self.entries[-1].id == self.head.last


class Look(NamedTuple):
    """What an owner sees of its pending steps without reading the journal (the watch of law 3)."""

    run: int
    owner: str
    last: bytes
    closed: bool
    done: frozenset[str]
    claims: dict[str, Claim]
    unreadable: tuple[str, ...] = ()
    """Steps whose claim is none: nobody can claim them until it is gone."""

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


def parse_entries(reply: Sequence[Any]) -> list[RawEntry]:
    """From the pages of a journal: `[id, [b"n", name, b"e", data]]` each. One of another form has no name, which no reader
    of entries knows: it blocks its workflow like any entry that cannot be read."""
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
