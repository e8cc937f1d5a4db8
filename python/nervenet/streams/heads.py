# SPDX-License-Identifier: Apache-2.0
"""What the head of a workflow says: its fields, and the claims of its running steps.

Hides the spelling of the hash from everybody else. A head is what lists, reads and the owner's look need without the
journal; whatever is in it and not derived by the owner (`at`, `note`, `state`, `blocked`) is kept true by the scripts.
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
    "closed_ms": b"closed",
    "definition": b"definition",
    "version": b"version",
    "python": b"python",
    "req": b"req",
    "labels": b"labels",
    "at": b"at",
    "note": b"note",
    "trace": b"trace",
    "suppressed": b"suppressed",
    "adoptions": b"adoptions",
    "adopted_at": b"adopted_at",
    "watch_until_ms": b"watch_until",
    "blocked": b"blocked",
}
"""Attribute of `Head` → field of the hash."""

_NUMBERS: Final = frozenset(
    {"run", "size", "created_ms", "closed_ms", "version", "suppressed", "adoptions", "watch_until_ms"}
)
_LARGEST: Final = dict.fromkeys(("run", "version", "suppressed", "adoptions"), (1 << 31) - 1)
_IDS: Final = frozenset({"last"})
_BYTES: Final = frozenset({"req", "blocked", "adopted_at"})
STATES: Final = {state.value.encode(): state for state in State}


class Head(NamedTuple):
    """The head of one workflow. Fields that were not asked for, or never set, hold their default.

    `last` is the id of the last journal entry, `size` the bytes of all entries, `req` the sha256 that makes a second start the same, `labels` JSON text,
    `suppressed` how many duplicates were turned away, `adoptions` how many adoptions in a row no entry followed,
    `adopted_at` what `last` was at the latest one (empty once that node has replayed it and lived), `blocked` the diff of a BLOCKED run.
    """

    run: int = 1
    state: State = State.RUNNING
    owner: str = ""
    last: bytes = b"0-0"
    size: int = 0
    created_ms: int = 0
    closed_ms: int = 0
    definition: str = ""
    version: int = 0
    python: str = ""
    req: bytes = b""
    labels: str = ""
    at: str = ""
    note: str = ""
    trace: str = ""
    suppressed: int = 0
    adoptions: int = 0
    adopted_at: bytes = b""
    watch_until_ms: int = 0
    blocked: bytes = b""

    @property
    def closed(self) -> bool:
        return self.closed_ms != 0

    @property
    def untold(self) -> int:
        """Adoptions in a row after which nobody told that he lived: it may have killed those nodes."""
        return self.adoptions if self.adopted_at == self.last else 0


class Claim(NamedTuple):
    """Who runs a step, by Redis' clock. A claim of a lower attempt than the pending one is none: it waits for override."""

    step: str
    attempt: int
    agent_id: str
    since_ms: int
    until_ms: int
    beat_ms: int
    fraction: float

    @staticmethod
    def ended(text: bytes) -> bytes:
        """The same claim, but over: for who knows that its agent is dead."""
        attempt, agent, since, _, rest = text.split(b" ", 4)
        return b" ".join((attempt, agent, since, b"0", rest))

    @classmethod
    def parse(cls, step: str, text: bytes) -> Claim:
        """From `<attempt> <agent> <since> <until> <beat> <fraction>`; until and beat count from since. Raises ValueError."""
        attempt, agent, since_text, until, beat, fraction = text.split(b" ")
        since = int(since_text)
        return cls(step, int(attempt), agent.decode(), since, since + int(until), since + int(beat), float(fraction))


def parse_head(values: Mapping[bytes, bytes | None]) -> Head:
    """From hash fields (by their Redis names) to values. Raises ValueError, which names the field.

    A state that only a newer release knows reads UNRECOGNIZED: lists show it, and nothing is decided by it.
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
    """Raises ValueError, also for what no counter or clock comes to."""
    found = int(value)
    if not -largest <= found <= largest:
        raise ValueError(value)
    return found


def owner_of(value: bytes) -> str:
    """A node's id; no head is without one."""
    if not value:
        raise ValueError("no owner")
    return value.decode()


def journal_id(value: bytes) -> bytes:
    """The same, if it reads `<ms>-<n>`; else ValueError."""
    ms, dash, n = value.partition(b"-")
    if not (dash and ms.isdigit() and n.isdigit() and len(value) < 40):
        raise ValueError(value)
    return value


def parse_claims(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, Claim]:
    """From pairs of a step and the text of its claim. One that cannot be read counts as none: its step is sent again."""
    found: dict[str, Claim] = {}
    for raw, text in pairs:
        with suppress(ValueError):
            step = raw.decode()
            found[step] = Claim.parse(step, text)
    return found
