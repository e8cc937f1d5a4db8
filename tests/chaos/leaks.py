# SPDX-License-Identifier: Apache-2.0
"""Names every key and entry in Redis, and every record in etcd, that no live workflow, agent or node explains.

It knows the layout of the contract (which keys there are, and whose) and nothing of the product. `leaks` decides over a
`Remains`, which `look` reads from the servers of a mesh at rest: every workflow is closed or waits for a human, so no task
is under way and no queue, inbox, wake or pending list has a reason to hold anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.chaos import registry
from tests.chaos.checker import Violation
from tests.chaos.registry import Member

PARTS = ("journal", "live", "view", "ckpt")


@dataclass
class Stream:
    """Ids of its entries, and per group and consumer what is pending under that name."""

    entries: list[str] = field(default_factory=list)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class Remains:
    """All keys with their time to live in ms (-1 = for ever), and what is in them."""

    namespace: str
    keys: dict[str, int] = field(default_factory=dict)
    heads: dict[str, Mapping[str, str]] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    registered: list[Member] = field(default_factory=list)


def leaks(there: Remains, expected: Iterable[str]) -> list[Violation]:
    """`expected`: ids of the workflows that were accepted, children included."""
    return [("leak", key, words) for key, words in _Look(there, set(expected)).all()]


class _Look:
    def __init__(self, there: Remains, expected: set[str]) -> None:
        self.there, self.expected = there, expected
        self.nodes = {one.id for one in there.registered if one.kind == "nodes"}
        self.agents = {one.id for one in there.registered if one.kind == "agents"}
        self.open = {one for one, head in there.heads.items() if "closed" not in head}

    def all(self) -> Iterator[tuple[str, str]]:
        prefix = f"nn:{self.there.namespace}:"
        for key in sorted(self.there.keys):
            if not key.startswith(prefix):
                yield key, "nothing of ours"
                continue
            kind, _, rest = key[len(prefix) :].partition(":")
            tag, _, part = rest.removeprefix("{").partition("}")
            yield from ((key, words) for words in self._key(kind, tag, part.removeprefix(":"), key))
        yield from self._missing(prefix)
        yield from self._registry()

    def _key(self, kind: str, tag: str, part: str, key: str) -> Iterator[str]:
        match kind:
            case "wf":
                yield from self._workflow(tag, part, key)
            case "inbox":
                yield from self._process(tag, self.agents | self.nodes)
                yield from self._stream(key)
            case "wake":
                yield from self._process(tag, self.nodes)
                yield from self._stream(key)
            case "queue":
                yield from self._stream(key)
            case "owned":
                yield from self._process(tag, self.nodes)
                yield from self._owned(tag, key)
            case "running":
                yield from (f"{one} is not open" for one in self.there.members[key] if one not in self.open)
            case "restarting":
                yield from (f"{one} is not being begun again" for one in self.there.members[key])
            case "escalations":
                asked = self._asked()
                yield from (f"{one}: nobody is asked that" for one in self.there.members[key] if one not in asked)
            case "closed":
                if self.there.keys[key] < 0:
                    yield "lives for ever"
            case "queues":
                pass
            case _:
                yield "a kind of key that the layout does not know"

    # ── workflows ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _workflow(self, id: str, part: str, key: str) -> Iterator[str]:
        head = self.there.heads.get(id)
        if id not in self.expected:
            yield "nobody started that workflow"
        if part and part not in PARTS:
            yield "a kind of key that the layout does not know"
        if head is None:
            yield "its workflow has no head"
            return
        if id not in self.open and self.there.keys[key] < 0:
            yield "its workflow is closed, and it lives for ever"
        if part == "ckpt":
            yield from (f"a checkpoint of {step}, which is over" for step in self._over(id, self.there.members[key]))
        if not part:
            yield from self._claims(id, head)

    def _over(self, id: str, steps: Iterable[str]) -> list[str]:
        return [step for step in steps if id not in self.open or f"e:task:{step}" in self.there.heads[id]]

    def _claims(self, id: str, head: Mapping[str, str]) -> Iterator[str]:
        claims = {name[2:]: claim.split() for name, claim in head.items() if name.startswith("c:")}
        yield from (f"a claim of {step}, which is over" for step in self._over(id, claims))
        for step, claim in claims.items():
            tried = f"e:attempt:{step}#{claim[0]}" in head
            if id in self.open and not tried and claim[1] not in self.agents:
                yield f"{step} is claimed by {claim[1]}, who is gone"

    def _asked(self) -> set[str]:
        """Questions that are open: asked, and neither decided nor over."""
        found = set()
        for workflow in self.open:
            head = self.there.heads[workflow]
            for name in head:
                if name.startswith("e:escalated:"):
                    asked = name.removeprefix("e:escalated:")
                    if f"e:decided:{asked}" not in head and f"e:task:{asked.rpartition('#')[0]}" not in head:
                        found.add(f"{workflow}/{asked}")
        return found

    # ── processes and their streams ──────────────────────────────────────────────────────────────────────────────────

    def _process(self, id: str, living: set[str]) -> Iterator[str]:
        if id not in living:
            yield f"{id} is gone"

    def _stream(self, key: str) -> Iterator[str]:
        stream = self.there.streams[key]
        if stream.entries:
            yield f"{len(stream.entries)} entries, from {stream.entries[0]} to {stream.entries[-1]}"
        for group, consumers in stream.groups.items():
            for consumer, pending in consumers.items():
                if consumer not in self.agents | self.nodes:
                    yield f"group {group} has the consumer {consumer}, who is gone"
                if pending:
                    yield f"{pending} entries are pending under {consumer}"

    def _owned(self, node: str, key: str) -> Iterator[str]:
        for one in self.there.members[key]:
            if one not in self.open:
                yield f"{one} is not open"
            elif self.there.heads[one].get("owner") != node:
                yield f"{one} is owned by {self.there.heads[one].get('owner')}"

    # ── what should be there ─────────────────────────────────────────────────────────────────────────────────────────

    def _missing(self, prefix: str) -> Iterator[tuple[str, str]]:
        running = set(self.there.members.get(f"{prefix}running", ()))
        listed = set(self.there.members.get(f"{prefix}escalations", ()))
        closed = {one for key, ids in self.there.members.items() if key.startswith(f"{prefix}closed:") for one in ids}
        for workflow in sorted(self.open):
            owner, key = self.there.heads[workflow].get("owner", ""), f"{prefix}running"
            if workflow not in running:
                yield key, f"{workflow} is open and not in it"
            key = f"{prefix}owned:{{{owner}}}"
            if owner not in self.nodes:
                yield f"{prefix}wf:{{{workflow}}}", f"its owner {owner} is gone"
            elif workflow not in self.there.members.get(key, ()):
                yield key, f"{workflow} is owned and not in it"
        for one in sorted(self._asked() - listed):
            yield f"{prefix}escalations", f"{one} is asked and not in it"
        for one in sorted(self.there.heads.keys() - self.open - closed):
            yield f"{prefix}closed", f"{one} is closed and listed on no day"

    def _registry(self) -> Iterator[tuple[str, str]]:
        for one in self.there.registered:
            key = f"/nervenet/{self.there.namespace}/{one.kind}/{one.id}"
            if one.kind == "load" and one.id not in self.agents:
                yield key, "a load without its agent"
            elif one.kind not in ("nodes", "agents", "load", "tombstones"):
                yield key, "a kind of key that the layout does not know"


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def look(port: int, etcd: Sequence[str], namespace: str, addresses: Iterable[str]) -> Remains:
    """What is there now; a record at an address where nobody lives counts as no process."""
    living = set(addresses)
    members = registry.members(etcd, namespace)
    kept = [one for one in members if one.kind not in ("nodes", "agents") or one.address in living]
    there = Remains(namespace, registered=kept)
    with closing(redis.Redis(port=port, socket_timeout=30, decode_responses=True, encoding_errors="replace")) as found:
        door: Any = found
        keys = list(door.scan_iter(count=2000))
        pipe = door.pipeline(transaction=False)
        for key in keys:
            pipe.pttl(key)
            pipe.type(key)
        answers = pipe.execute()
        for key, ttl, kind in zip(keys, answers[::2], answers[1::2], strict=True):
            if ttl != -2:
                there.keys[key] = ttl
                _read(door, there, key, kind)
    return there


def _read(door: Any, there: Remains, key: str, kind: str) -> None:
    head = f"nn:{there.namespace}:wf:{{"
    if key.startswith(head) and key.endswith("}"):
        there.heads[key[len(head) : -1]] = door.hgetall(key)
    elif key.startswith(head) and not key.endswith(":ckpt"):
        return  # journal, live and view are explained by their head alone
    elif kind == "hash":
        there.members[key] = door.hkeys(key)
    elif kind == "set":
        there.members[key] = sorted(door.smembers(key))
    elif kind == "zset":
        there.members[key] = door.zrange(key, 0, -1)
    elif kind == "stream":
        stream = there.streams[key] = Stream([entry for entry, _ in door.xrange(key)])
        for group in door.xinfo_groups(key):
            consumers = door.xinfo_consumers(key, group["name"])
            stream.groups[group["name"]] = {one["name"]: one["pending"] for one in consumers}
