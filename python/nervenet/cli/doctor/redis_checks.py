# SPDX-License-Identifier: Apache-2.0
"""Redis: whether it answers, is new enough, keeps what it was told, has room, and agrees about the time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nervenet.cli.doctor.check import Check, error, named, ok, warning
from nervenet.clock import SYSTEM
from nervenet.config import Config
from nervenet.payloads import format_size
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.streams.keys import is_ours

WAIT: Final = 3.0
LOWEST: Final = (6, 2)
MOST_KEYS: Final = 200_000
"""Keys that are looked at. A larger namespace is examined in part, which the check says."""
SKEW_WARNING_MS, SKEW_ERROR_MS = 1_000, 5_000


@dataclass(frozen=True)
class RedisFacts:
    """What one server answers.

    Attributes:
        info: Sections and lines of INFO.
        now_ms: Its clock.
        ours_ms: This machine's clock at that moment.
        min_replicas: `min-replicas-to-write`. None: the server does not tell.
    """

    info: Mapping[str, str]
    now_ms: int
    ours_ms: int
    min_replicas: int | None


@dataclass
class KeyFacts:
    """The keys of the namespace that were looked at, and those that nothing explains."""

    seen: int = 0
    whole: bool = True
    unknown: list[str] = field(default_factory=list)


async def redis_checks(config: Config) -> list[Check]:
    """Everything about Redis; one finding if it does not answer."""
    if config.redis is None:
        return [
            warning(
                "redis", "not examined: this machine does not know its address", "set NERVENET_REDIS as the nodes do"
            )
        ]
    try:
        link = await open_link(config.redis, name="nervenet-doctor", wait=WAIT, patience=WAIT)
    except (LinkError, ValueError) as fault:
        return [error("redis", f"does not answer: {fault}", "start it, or set NERVENET_REDIS to its address")]
    try:
        servers = await _ask(link)
        keys = await _keys(link, config.namespace)
    except LinkError as fault:
        return [error("redis", f"does not answer: {fault}", "start it, or set NERVENET_REDIS to its address")]
    finally:
        await link.close()
    return judge(servers, keys, strict=config.durability == "strict")


def judge(servers: Sequence[RedisFacts], keys: KeyFacts, *, strict: bool) -> list[Check]:
    """The checks, from what the servers said."""
    found: list[Check] = []
    for facts in servers:
        found += [
            _version(facts),
            _persistence(facts, strict=strict),
            _eviction(facts),
            _memory(facts),
            _replication(facts),
            _clock(facts),
        ]
    return [*_worst(found), _unexplained(keys)]


def _worst(found: Sequence[Check]) -> list[Check]:
    """One check of each name: of a cluster, that of the server that has the worst news."""
    order = {"ok": 0, "warning": 1, "error": 2}
    worst: dict[str, Check] = {}
    for one in found:
        if one.name not in worst or order[one.status] > order[worst[one.name].status]:
            worst[one.name] = one
    return list(worst.values())


async def _ask(link: Link) -> list[RedisFacts]:
    infos, times = await link.everywhere("INFO"), await link.everywhere("TIME")
    ours = SYSTEM.now_ms()
    try:
        limits = await link.everywhere("CONFIG", "GET", "min-replicas-to-write")
    except LinkError:  # managed services refuse it
        limits = [None] * len(infos)
    return [
        RedisFacts(_parsed(info), int(now[0]) * 1000 + int(now[1]) // 1000, ours, int(limit[1]) if limit else None)
        for info, now, limit in zip(infos, times, limits, strict=True)
    ]


def _parsed(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


async def _keys(link: Link, namespace: str) -> KeyFacts:
    found = KeyFacts()
    async for page in link.scan(f"nn:{namespace}:*"):
        found.seen += len(page)
        for key in page:
            if not is_ours(key):
                found.unknown.append(key.decode("utf-8", "backslashreplace"))
        if found.seen >= MOST_KEYS:
            found.whole = False
            break
    return found


def _where(facts: RedisFacts) -> str:
    return f"port {facts.info.get('tcp_port', '?')}"


def _version(facts: RedisFacts) -> Check:
    name = "redis.version"
    product = "Valkey" if "valkey_version" in facts.info else "Redis"
    said = facts.info.get("valkey_version") or facts.info.get("redis_version", "")
    protocol = tuple(int(part) for part in re.findall(r"\d+", facts.info.get("redis_version", ""))[:2])
    if protocol < LOWEST:
        lowest = ".".join(map(str, LOWEST))
        return error(name, f"{product} {said}; nervenet needs {lowest}", f"upgrade to Redis {lowest} or Valkey 7.2")
    return ok(name, f"{product} {said}")


def _persistence(facts: RedisFacts, *, strict: bool) -> Check:
    name, info = "redis.persistence", facts.info
    if info.get("aof_enabled") != "1":
        saved = " It has snapshots only." if int(info.get("rdb_last_save_time", "0")) else ""
        return error(
            name,
            f"appendonly is off ({_where(facts)}): a restart of the server loses accepted workflows.{saved}",
            f"set appendonly yes and appendfsync {'always' if strict else 'everysec'}",
        )
    if info.get("aof_last_write_status") == "err" or info.get("aof_last_bgrewrite_status") == "err":
        return error(
            name, f"the server cannot write its append-only file ({_where(facts)})", "look at its disk and log"
        )
    if info.get("rdb_last_bgsave_status") == "err":
        return warning(name, f"the last snapshot failed ({_where(facts)})", "look at the server's disk and log")
    return ok(name, "append-only file")


def _eviction(facts: RedisFacts) -> Check:
    name, policy = "redis.maxmemory-policy", facts.info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return ok(name, policy)
    return error(
        name,
        f"{policy} ({_where(facts)}): a full server would delete journals",
        "set maxmemory-policy noeviction, so that a full server refuses writes instead",
    )


def _memory(facts: RedisFacts) -> Check:
    name, info = "redis.memory", facts.info
    used, limit = int(info.get("used_memory", "0")), int(info.get("maxmemory", "0"))
    room, what = (limit, "maxmemory") if limit else (int(info.get("total_system_memory", "0")), "the machine's memory")
    if not room:
        return ok(name, f"{format_size(used)} used")
    said = f"{format_size(used)} of {format_size(room)} ({what}, {_where(facts)})"
    share = used / room
    cure = "raise maxmemory, shorten NERVENET_RETENTION, or spread the namespace over a Redis Cluster"
    if share >= 0.95:
        return error(name, f"{said}: writes are refused soon", cure)
    return warning(name, said, cure) if share >= 0.8 else ok(name, said)


def _replication(facts: RedisFacts) -> Check:
    name, info = "redis.replication", facts.info
    if info.get("role") != "master":
        return error(name, f"{_where(facts)} is a replica", "set NERVENET_REDIS to the master, or to its sentinels")
    replicas = int(info.get("connected_slaves", "0"))
    if not replicas:
        return ok(name, "no replica is connected")
    behind = [value for key, value in info.items() if re.fullmatch(r"slave\d+", key) and "state=online" not in value]
    if behind:
        return warning(
            name, f"{len(behind)} of {replicas} replicas are not in step ({_where(facts)})", "look at their logs"
        )
    if facts.min_replicas == 0:
        return warning(
            name,
            f"{replicas} in step, but min-replicas-to-write is 0: a failover can lose acknowledged writes",
            "set min-replicas-to-write 1 and min-replicas-max-lag 10 on each server",
        )
    return ok(name, f"{replicas} in step")


def _clock(facts: RedisFacts) -> Check:
    name, skew = "redis.clock", abs(facts.now_ms - facts.ours_ms)
    said = f"{skew / 1000:.1f} s from this machine's clock"
    cure = "synchronize the clocks of all machines (NTP): timers and deadlines follow them"
    if skew >= SKEW_ERROR_MS:
        return error(name, said, cure)
    return warning(name, said, cure) if skew >= SKEW_WARNING_MS else ok(name, said)


def _unexplained(keys: KeyFacts) -> Check:
    name = "redis.keys"
    part = "" if keys.whole else " (the namespace has more, which were not looked at)"
    if not keys.unknown:
        return ok(name, f"{keys.seen} keys, all of them nervenet's{part}")
    return warning(
        name,
        f"{len(keys.unknown)} of {keys.seen} keys are not nervenet's: {named(keys.unknown)}{part}",
        "let other programs use other prefixes, or another database",
    )
