# SPDX-License-Identifier: Apache-2.0
"""What must be true at every write, and what must be true in the end. Shares no code with the product but the decoder.

At every fold: it is what was written under that number, and when a workflow's `close` is folded, everything that its coordinator
has folded stands in the journal. At every write to a journal: its number follows the one before (gapless, across runs too), its name is new in its run,
nothing comes after `close` but the next run's `start`, what only an owner may say was said by the owner of that moment,
a process that spoke for a run, or took a workflow from a node, did so while it was that run and that owner, and an attempt is
claimed by one agent. In the end: every accepted workflow is closed with an outcome that its shape can have and that
people were told, what stands in Redis is what was written, and once what the dead left is cleaned up nothing is left that no living
process explains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from nervenet.records import Close, Entry, State
from nervenet.wire import decode_entry
from tests.simulation.flows import CANCELABLE, EXPECTED
from tests.simulation.store import Before, Id, Store, Stream

OF_AN_OWNER: Final = {"journal_append": 3, "decision_append": 3, "workflow_close": 1, "workflow_renew": 1}
"""Where these scripts are told who speaks as the owner; empty = anybody may."""
OF_A_RUN: Final = frozenset((
    "journal_append", "task_complete", "decision_append", "task_claim", "workflow_close", "workflow_renew",
))  # fmt: skip
FROM_AN_OWNER: Final = {"workflow_adopt": b"adopted", "owner_move": b"moved"}
DONE: Final = (b"new", b"run")
Written = tuple[Id, bytes, bytes]


@dataclass
class Promise:
    """What clients were told of one workflow. `said`: questions that they decided, and the output that this means. `runs`: how
    many runs they have asked for; None: any number."""

    shape: str
    n: int
    said: list[tuple[str, int | None]] = field(default_factory=list)
    runs: int | None = None


def _written(at: Id, fields: list[bytes]) -> Written:
    return at, fields[1], fields[3]


def journal_key(workflow_id: str) -> bytes:
    return b"nn:simulated:wf:{%s}:journal" % workflow_id.encode()


class Ledger:
    """Hears every journal entry as it is written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.written: dict[bytes, list[Written]] = {}
        self.run: dict[bytes, dict[bytes, bytes]] = {}
        self.violations: list[str] = []
        self.answers: Counter[str] = Counter()
        self.garbled: set[bytes] = set()
        """Journals with an entry that cannot be read: their workflows end, in whatever way."""
        self.crashes = 0
        """How often Redis has come back without its last commands."""
        self._lost: dict[bytes, set[Written]] = {}
        """What crashes have taken, and journals in whose place a later run was written back. Who has heard of it may have folded it: then it
        writes it back, or hears at its next write that the later run counts."""
        self._gone: dict[bytes, list[Written]] = {}
        """Journals of which nothing is left, until somebody writes them back."""
        self._folded: dict[object, dict[int, Written]] = {}
        """What each coordinator has folded, by number."""
        store.on_append = self._heard
        store.on_restored = self._restored
        store.on_script = self._answered

    def _heard(self, key: bytes, at: Id, name: bytes, entry: bytes) -> None:
        written = self.written.setdefault(key, [])
        run = self.run.setdefault(key, {})
        about = f"{key.decode()} {name.decode()} {at[0]}-{at[1]}"
        if at[1] != (written[-1][0][1] + 1 if written else 1):
            self.violations.append(f"gap: {about} after {written[-1][0] if written else None}")
        if written and at[0] < written[-1][0][0]:
            self.violations.append(f"time goes back: {about}")
        if name == b"start":
            run = self.run[key] = {}
        elif b"close" in run:
            self.violations.append(f"after close: {about}")
        if name in run:
            self.violations.append(f"recorded twice: {about}")
        elif name.startswith(b"attempt:") and b"task:" + name[8:].rpartition(b"#")[0] in run:
            self.violations.append(f"an attempt after its outcome: {about}")
        elif name.startswith(b"decided:") and b"task:" + name[8:].rpartition(b"#")[0] in run:
            self.violations.append(f"a decision after its outcome: {about}")
        run[name] = entry
        written.append((at, name, entry))

    def crashed(self) -> None:
        """The server has come back without its last commands."""
        self.crashes += 1
        for key, before in tuple(self.written.items()):
            self._again(key)
            self._lost.setdefault(key, set()).update(set(before) - set(self.written.get(key, ())))

    def _restored(self, key: bytes) -> None:
        """A journal was written back: the end of the one that stands there, or a whole one in its place."""
        before = self.written.get(key, [])
        start = next((one for one in reversed(before) if one[1] == b"start"), None)
        self._again(key)
        if start is not None and start not in self.written.get(key, ()):
            self._lost.setdefault(key, set()).update(before)

    def _again(self, key: bytes) -> None:
        """From here on, what stands in this journal is what was written. Entries of earlier runs have left it, and what a crash took
        of them stays unknown."""
        stream = self._store.get(key)
        standing = [_written(at, fields) for at, fields in stream.entries.items()] if isinstance(stream, Stream) else []
        self.run.pop(key, None)
        before = self.written.pop(key, None) or self._gone.pop(key, [])
        if not standing:
            self._gone[key] = before
        else:
            ms, n = standing[0][0]
            earlier = [one for one in before if one[0][0] <= ms and one[0][1] < n]
            self.written[key] = earlier + [((0, i), b"", b"") for i in range(len(earlier) + 1, n)]
        for at, name, entry in standing:
            self._heard(key, at, name, entry)

    def _answered(self, name: str, key: bytes, args: list[bytes], status: bytes, before: Before) -> None:
        self.answers[f"{name} {status.decode()}"] += 1
        about = f"{name} {key.decode()} {[arg.decode(errors='replace')[:40] for arg in args[:4]]}"
        if status == FROM_AN_OWNER.get(name) and before.owner != args[1]:
            self.violations.append(f"taken from {before.owner!r}, who was not asked: {about}")
        if status not in DONE:
            return
        if name in OF_A_RUN and before.run != args[0]:
            self.violations.append(f"across runs: {about} in run {before.run!r}")
        if name in OF_AN_OWNER and args[OF_AN_OWNER[name]] not in (b"", before.owner):
            self.violations.append(f"not the owner, who is {before.owner!r}: {about}")
        if name == "task_claim" and before.claim is not None:
            attempt, agent = before.claim.split(b" ")[:2]
            if attempt == args[2] and agent != args[3]:
                self.violations.append(f"claimed by {agent!r} already: {about}")

    def folded(self, coordinator: object, workflow_id: str, entry: Entry, data: bytes) -> None:
        """A coordinator folds this as entry `n` of that journal."""
        key = journal_key(workflow_id)
        here = ((entry.time_ms, entry.n), entry.name.encode(), data)
        there = self._entry(key, entry.n)
        if here != there and here not in self._lost.get(key, ()):
            self.violations.append(
                f"folded {entry.name} of {workflow_id} as entry {entry.n}, which is {there and there[:2]}"
            )
        history = self._folded.setdefault(coordinator, {})
        history[entry.n] = here
        if entry.name == "close":
            for n, one in history.items():
                if one != (stands := self._entry(key, n)):
                    self.violations.append(
                        f"{workflow_id} went on from entry {n} {one[:2]}, which is {stands and stands[:2]}"
                    )

    def _entry(self, key: bytes, n: int) -> Written | None:
        written = self.written.get(key, [])
        return written[n - 1] if n <= len(written) else None

    def end(self, promised: dict[str, Promise], living: set[str]) -> list[str]:
        """Everything that is wrong at the end. `living`: ids of processes that may own keys."""
        found = list(self.violations)
        for workflow_id, promise in promised.items():
            found += self.outcome(workflow_id, promise)
        for key in sorted(self.written):
            found += self._stands(key)
        return found + list(self.leaks(living))

    def outcome(self, workflow_id: str, promise: Promise) -> Iterable[str]:
        """What is wrong with the end of its present run."""
        key, shape, n = journal_key(workflow_id), promise.shape, promise.n
        data = self.run.get(key, {}).get(b"close")
        if data is None:
            yield f"lost: {workflow_id} ({shape}) never ended: {[w[1].decode() for w in self.written.get(key, [])]}"
            return
        if key in self.garbled:
            return
        close = decode_entry("close", data, 1, 1).body
        assert isinstance(close, Close)
        output = close.output.data.decode() if close.output else ""
        right = close.state is State.SUCCEEDED and output in {str(value) for value in EXPECTED[shape](n)}
        if shape in CANCELABLE and close.state is State.CANCELED:
            right = b"cancel" in self.run[key] and b"task:undo" in self.run[key]
        if not right:
            yield f"wrong: {workflow_id} ({shape} of {n}) is {close.state} with {output!r} {close.failure}"
        runs = sum(name == b"start" for _, name, _ in self.written[key])
        if promise.runs is not None and runs != promise.runs:
            yield f"runs: {workflow_id} has {runs}, {promise.runs} were asked for"
        for question in dict.fromkeys(question for question, _ in promise.said):
            means = [means for asked, means in promise.said if asked == question]
            if self.crashes:  # a shortened journal takes another decision, and one of them stands (decision 0012)
                continue
            if len(means) > 1:
                yield f"decided twice: {workflow_id} {question}"
            if None not in means and output not in map(str, means):
                yield f"decided, and not obeyed: {workflow_id} {question} means {means}, the output is {output!r}"

    def _stands(self, key: bytes) -> Iterable[str]:
        """The journal in the store is the end of what was written; the markers in the head are its names."""
        stream, head = self._store.get(key), self._store.get(key.removesuffix(b":journal"))
        if not isinstance(stream, Stream) or head is None:
            yield f"{key.decode()} is gone"
            return
        standing = [_written(at, fields) for at, fields in stream.entries.items()]
        if standing != self.written[key][-len(standing) :] or standing[0][1] != b"start":
            yield f"{key.decode()} is not what was written"
        markers = {field[2:] for field in head if field[:2] == b"e:"}
        if markers != {name for _, name, _ in standing}:
            yield f"{key.decode()} and its markers differ: {markers ^ {name for _, name, _ in standing}}"

    def leaks(self, living: set[str]) -> Iterable[str]:
        """Keys, members and entries that nothing explains once all workflows are over and what the dead left is cleaned up."""
        for key in sorted(self._store.data):
            name, value = key.decode(), self._store.get(key)
            kind, _, rest = name.removeprefix("nn:simulated:").partition(":")
            tag = rest.strip("{}")
            if (kind in ("running", "restarting", "owned", "escalations") and value) or (kind == "archive" and value):
                yield f"leak: {name} holds {list(value)}"
            elif kind in ("inbox", "wake") and tag not in living:
                yield f"leak: {name} belongs to nobody"
            elif kind in ("inbox", "queue", "wake") and isinstance(value, Stream):
                if value.entries and kind != "wake":  # its node trims it with the next news
                    yield f"leak: {name} has {len(value.entries)} entries"
                for group in value.groups.values():
                    if group.pending:
                        yield f"leak: {name} has {len(group.pending)} pending"
                    for consumer in sorted(group.consumers):
                        if consumer.decode() not in living:
                            yield f"leak: {name} has a consumer that is dead: {consumer.decode()}"
            elif kind == "wf" and key not in self._store.expires:
                yield f"leak: {name} never expires"
