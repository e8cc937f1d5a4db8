# SPDX-License-Identifier: Apache-2.0
"""etcd: its members, its leader, its alarms and its size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from nervenet.cli.doctor.check import Check, error, named, ok, warning
from nervenet.config import Config
from nervenet.payloads import format_size
from nervenet.registry.etcd import Etcd, EtcdError, MemberStatus

PATIENCE: Final = 3.0
LOWEST: Final = (3, 4)
QUOTA: Final = 2 << 30
"""etcd's default quota. It does not tell its own."""
SLOW: Final = 0.5
"""Seconds for one answer. Leases live for a few seconds, and each needs a write of etcd to its disk."""


async def etcd_checks(config: Config) -> list[Check]:
    """Everything about etcd; one finding if it does not answer."""
    if config.etcd is None:
        return [
            warning("etcd", "not examined: this machine does not know its address", "set NERVENET_ETCD as the nodes do")
        ]
    try:
        async with Etcd.open(config.etcd, patience=PATIENCE) as etcd:
            return judge(await etcd.status(patience=PATIENCE))
    except (EtcdError, ValueError) as fault:
        return [error("etcd", f"does not answer: {fault}", "start it, or set NERVENET_ETCD to its address")]


def judge(members: Sequence[MemberStatus]) -> list[Check]:
    """The checks, from what the configured endpoints said."""
    alive = [one for one in members if not one.error]
    if not alive:
        said = named([f"{one.endpoint}: {one.error}" for one in members], 3)
        return [error("etcd", f"does not answer: {said}", "start it, or set NERVENET_ETCD to its address")]
    return [_members(members, alive), _leader(alive), _version(alive), _alarms(alive), _size(alive), _speed(alive)]


def _members(members: Sequence[MemberStatus], alive: Sequence[MemberStatus]) -> Check:
    name = "etcd.members"
    if len(alive) == len(members):
        return ok(name, f"{len(alive)} of {len(members)} answer")
    gone = [one.endpoint for one in members if one.error]
    said = f"{len(alive)} of {len(members)} answer; not {named(gone)}"
    if 2 * len(alive) <= len(members):
        return error(name, f"{said}: without a majority nobody can register", "start the members again")
    return warning(name, said, "start them again before another one fails")


def _leader(alive: Sequence[MemberStatus]) -> Check:
    leaders = [one.endpoint for one in alive if one.leader]
    if leaders:
        return ok("etcd.leader", leaders[0])
    return warning(
        "etcd.leader",
        "none of the configured endpoints leads",
        "name all members in NERVENET_ETCD, or look for an election",
    )


def _version(alive: Sequence[MemberStatus]) -> Check:
    versions = sorted({one.version for one in alive})
    old = [one for one in versions if tuple(int(part) for part in re.findall(r"\d+", one)[:2]) < LOWEST]
    lowest = ".".join(map(str, LOWEST))
    if old:
        return error("etcd.version", f"{named(old)}; nervenet needs {lowest}", f"upgrade etcd to {lowest} or later")
    if len(versions) > 1:
        return warning("etcd.version", f"members differ: {named(versions)}", "finish the upgrade of etcd")
    return ok("etcd.version", versions[0])


def _alarms(alive: Sequence[MemberStatus]) -> Check:
    found = sorted({alarm for one in alive for alarm in one.alarms})
    if not found:
        return ok("etcd.alarms", "none")
    full = any("NOSPACE" in alarm for alarm in found)
    cure = "compact and defragment etcd, raise --quota-backend-bytes, then: etcdctl alarm disarm"
    return error("etcd.alarms", named(found), cure if full else "look at etcd's log")


def _size(alive: Sequence[MemberStatus]) -> Check:
    most = max(one.bytes for one in alive)
    said = f"{format_size(most)} of {format_size(QUOTA)} (etcd's default quota)"
    if most >= 0.8 * QUOTA:
        return warning("etcd.size", said, "compact and defragment etcd, or raise --quota-backend-bytes")
    return ok("etcd.size", said)


def _speed(alive: Sequence[MemberStatus]) -> Check:
    slowest = max(one.seconds for one in alive)
    said = f"the slowest member answers in {slowest * 1000:.0f} ms"
    if slowest >= SLOW:
        return warning("etcd.speed", said, "give etcd a fast disk of its own: its leases decide who counts as alive")
    return ok("etcd.speed", said)
