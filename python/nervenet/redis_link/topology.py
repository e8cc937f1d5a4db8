# SPDX-License-Identifier: Apache-2.0
"""Which master serves which slots of a Redis Cluster, from the views of its members. Pure: text in, a map out.

Members may contradict each other for a while: one that was cut off or stopped still claims the slots that it has lost.
The cluster's own rule decides: of two claims to a slot, the one with the higher configuration epoch is valid. So the
map is made from the views of all members that answer, not of one alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from nervenet.redis_link.slots import SLOTS

__all__ = ["Member", "Topology", "merge", "parse_nodes"]

_UNUSABLE: Final = frozenset({"noaddr", "handshake"})


class Member(NamedTuple):
    """One line of CLUSTER NODES."""

    id: str
    host: str
    port: int
    master: bool
    failed: bool
    epoch: int
    slots: tuple[range, ...]

    @property
    def where(self) -> tuple[str, int]:
        return self.host, self.port


class Topology(NamedTuple):
    """`owners[slot]` is the host and port of its master, None if no member claims it. `others` are all other
    members."""

    masters: frozenset[tuple[str, int]]
    others: frozenset[tuple[str, int]]
    owners: tuple[tuple[str, int] | None, ...]


def parse_nodes(text: str, host: str) -> list[Member]:
    """The view of one member, from its CLUSTER NODES. `host` is its host: a new member does not know its own."""
    return [member for line in text.splitlines() if (member := _parse(line.split(), host)) is not None]


def _parse(words: list[str], own_host: str) -> Member | None:
    if len(words) < 8:
        return None
    name, place, flags, _, _, _, epoch, _, *slots = words
    kinds = set(flags.split(","))
    host, _, port = place.partition("@")[0].rpartition(":")
    if kinds & _UNUSABLE or not port.isdigit():
        return None
    served = tuple(_range(word) for word in slots if not word.startswith("["))
    master, failed = "master" in kinds, "fail" in kinds
    return Member(name, host.strip("[]") or own_host, int(port), master, failed, int(epoch), served)


def _range(word: str) -> range:
    first, _, last = word.partition("-")
    return range(int(first), int(last or first) + 1)


def merge(views: Iterable[Iterable[Member]]) -> Topology:
    """For each member the line with its highest epoch counts, for each slot the claim with the highest epoch."""
    members: dict[str, Member] = {}
    claims: set[Member] = set()
    for view in views:
        for member in view:
            known = members.get(member.id)
            # A demoted master takes the epoch of its successor, so of two lines with one epoch the replica's is newer.
            if known is None or (member.epoch, not member.master) > (known.epoch, not known.master):
                members[member.id] = member
            if member.master:
                claims.add(member)
    owners: list[tuple[str, int] | None] = [None] * SLOTS
    for claim in sorted(claims, key=lambda one: one.epoch):
        for served in claim.slots:
            owners[served.start : served.stop] = [claim.where] * len(served)
    serving = frozenset(owner for owner in owners if owner is not None)
    claimed = {claim.where for claim in claims if claim.slots}
    # A master without slots may get some soon. One that is dead, or has lost all its claims, is no longer a master.
    idle = {one.where for one in members.values() if one.master and not one.failed and one.where not in claimed}
    masters = serving | idle
    return Topology(masters, frozenset(one.where for one in members.values()) - masters, tuple(owners))
