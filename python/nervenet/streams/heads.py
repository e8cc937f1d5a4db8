# SPDX-License-Identifier: Apache-2.0
"""The head of a workflow: its fields, and the claims of its running steps.

It hides the fields of the Redis hash. Lists, reads and the owner's check of pending steps need the head only, not the
journal. The scripts keep its fields consistent with the journal; the owner writes `at`, `note`, `state` and `blocked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from nervenet.records import State

__all__ = ["FIELDS", "STATES", "Claim", "Head", "journal_id", "parse_claims", "parse_head"]

FIELDS: Final = {
    "run": b"run",
    "state": b"state",
    "owner": b"owner",
    "last": b"last",
    "size": b"bytes",
    "created_ms": b"created",
    "start_id": b"e:start",
    "closed_ms": b"closed",
    "definition": b"definition",
    "version": b"version",
    "runtime": b"python",
    "request_hash": b"req",
    "labels": b"labels",
    "at": b"at",
    "note": b"note",
    "trace": b"trace",
    "suppressed": b"suppressed",
    "adoptions": b"adoptions",
    "adopted_at": b"adopted_at",
    "watch_until_ms": b"watch_until",
    "blocked": b"blocked",
    "retention_ms": b"retention",
}
"""Attribute of `Head` → field of the hash."""

_NUMBERS: Final = frozenset(
    {"run", "size", "created_ms", "closed_ms", "version", "suppressed", "adoptions", "watch_until_ms", "retention_ms"}
)
_LARGEST: Final = dict.fromkeys(("run", "version", "suppressed", "adoptions"), (1 << 31) - 1)
_IDS: Final = frozenset({"last", "start_id"})
_BYTES: Final = frozenset({"request_hash", "blocked", "adopted_at"})
STATES: Final = {state.value.encode(): state for state in State}


class Head(NamedTuple):
    """The head of one workflow. A field that was not read, or never set, has its default.

    `last` is the id of the last journal entry, `start_id` that of the first one of this run, `size` the number of bytes in all entries, `labels` JSON text.
    `request_hash` is the sha256 of the start request: a second start with the same hash is the same start. `runtime` is
    what can run the definition: a Python version such as `3.11`, or `declared-1`. `suppressed` counts the duplicates
    that were refused. `adoptions` counts the consecutive adoptions without a new entry, `adopted_at` is the value of
    `last` at the latest of them (empty once that node has replayed the workflow and survived). `blocked` is the diff of
    a BLOCKED run. `retention_ms` is that of its definition, 0 where it has the mesh's.
    """

    run: int = 1
    state: State = State.RUNNING
    owner: str = ""
    last: bytes = b"0-0"
    size: int = 0
    created_ms: int = 0
    start_id: bytes = b"0-0"
    closed_ms: int = 0
    definition: str = ""
    version: int = 0
    runtime: str = ""
    request_hash: bytes = b""
    labels: str = ""
    at: str = ""
    note: str = ""
    trace: str = ""
    suppressed: int = 0
    adoptions: int = 0
    adopted_at: bytes = b""
    watch_until_ms: int = 0
    blocked: bytes = b""
    retention_ms: int = 0

    @property
    def closed(self) -> bool:
        return self.closed_ms != 0

    @property
    def unconfirmed_adoptions(self) -> int:
        """Consecutive adoptions whose node never confirmed a successful replay: the workflow may have killed those
        nodes."""
        return self.adoptions if self.adopted_at == self.last else 0


class Claim(NamedTuple):
    """The agent that runs a step, with times by Redis' clock.

    A claim of a lower attempt than the pending one does not count: the next claim replaces it.
    """

    step: str
    attempt: int
    agent_id: str
    since_ms: int
    until_ms: int
    beat_ms: int
    fraction: float

    @staticmethod
    def ended(text: bytes) -> bytes:
        """The text of the same claim, already expired. For a caller that knows that the agent is dead."""
        attempt, agent, since, _, rest = text.split(b" ", 4)
        return b" ".join((attempt, agent, since, b"0", rest))

    @classmethod
    def parse(cls, step: str, text: bytes) -> Claim:
        """From `<attempt> <agent> <since> <until> <beat> <fraction>`; until and beat are ms after since. Raises
        ValueError."""
        attempt, agent, since_text, until, beat, fraction = text.split(b" ")
        since = int(since_text)
        return cls(step, int(attempt), agent.decode(), since, since + int(until), since + int(beat), float(fraction))


def parse_head(values: Mapping[bytes, bytes | None]) -> Head:
    """From hash fields, under their names in Redis, to a head. Raises ValueError, which names the field.

    A state that only a newer release knows becomes UNRECOGNIZED: lists show it, no decision depends on it.
    """
    found: dict[str, object] = {}
    for attribute, field in FIELDS.items():
        value = values.get(field)
        if value is None:
            continue
        if attribute == "state":
            found[attribute] = STATES.get(value, State.UNRECOGNIZED)
            continue
        try:
            if attribute in _NUMBERS:
                found[attribute] = number(value, _LARGEST.get(attribute, 1 << 62))
            elif attribute in _IDS:
                found[attribute] = journal_id(value)
            elif attribute == "owner":
                found[attribute] = owner_of(value)
            else:
                found[attribute] = value if attribute in _BYTES else value.decode()
        except ValueError:
            raise ValueError(f"field {field.decode()} is {value[:40]!r}") from None
    return Head(**found)  # type: ignore[arg-type]


def number(value: bytes, largest: int) -> int:
    """An integer; raises ValueError for any other text, and for a number that no counter or clock reaches."""
    found = int(value)
    if not -largest <= found <= largest:
        raise ValueError(value)
    return found


def owner_of(value: bytes) -> str:
    """A node's id; raises ValueError for empty text, because each head has an owner."""
    if not value:
        raise ValueError("no owner")
    return value.decode()


def journal_id(value: bytes) -> bytes:
    """Return the value if it has the form `<ms>-<n>`; raise ValueError otherwise."""
    ms, dash, n = value.partition(b"-")
    if not (dash and ms.isdigit() and n.isdigit() and len(value) < 40):
        raise ValueError(value)
    return value


def parse_claims(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, Claim]:
    """From pairs of a step and the text of its claim. An unreadable claim is left out: its step is sent again."""
    found: dict[str, Claim] = {}
    for raw, text in pairs:
        with suppress(ValueError):
            step = raw.decode()
            found[step] = Claim.parse(step, text)
    return found
