# SPDX-License-Identifier: Apache-2.0
"""What each kind of process needs in Redis: the commands, the keys and the channels, as rules for `ACL SETUSER`.

    rules_of(["agent"], "team-a")             # ["~nn:team-a:wf:{*", …, "-@all", "+xadd", …]
    rules_of(["agent", "flows"], "team-a")    # […, "(~nn:team-a:flows:{* … +get …)"]

Commands inside of Lua scripts count against the caller's rules, so they are read from the scripts themselves. What a process
sends directly is listed here; a test compares the lists with the code, and the tests of meshes run under these rules. They
need Redis 7 (or Valkey), which has rules for the reading and the writing of keys apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

from nervenet.streams.script import packaged_scripts

__all__ = ["ROLES", "RedisRole", "StorePermissions", "commands_in", "permissions_of", "rules_of"]

RedisRole: TypeAlias = Literal["node", "agent", "checkpoints", "flows"]
ROLES: Final[dict[RedisRole, str]] = {
    "node": "a node",
    "agent": "an agent that reads its tasks from Redis (those behind the gateway need nothing)",
    "checkpoints": "a process that uses NervenetSaver of the LangGraph integration",
    "flows": "a process that uses NervenetFlowPersistence of the CrewAI integration",
}

_CALL: Final = re.compile(r"redis\.p?call\(\s*'([A-Z]+)'(?:\s*,\s*'([A-Z]+)')?")
_CONTAINERS: Final = frozenset({"XGROUP", "XINFO", "SCRIPT", "CLIENT", "CONFIG", "CLUSTER"})
"""Commands that have subcommands, which are allowed one by one."""

_CONNECTION: Final = (
    "ASKING", "AUTH", "CLIENT|SETNAME", "CLUSTER|NODES", "EVALSHA", "INFO", "PING", "SCRIPT|LOAD", "SELECT",
)  # fmt: skip
_NODE: Final = (
    "CONFIG|GET", "DEL", "EXISTS", "GET", "HDEL", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "HSET", "HSETNX", "HVALS",
    "PEXPIRE", "SADD", "SCAN", "SCARD", "SMISMEMBER", "SREM", "SSCAN", "SUBSCRIBE", "TIME", "TYPE", "UNSUBSCRIBE",
    "XACK", "XADD", "XDEL", "XGROUP|CREATE", "XGROUP|DESTROY", "XINFO|CONSUMERS", "XINFO|GROUPS", "XLEN", "XPENDING",
    "XRANGE", "XREAD", "XREADGROUP", "XTRIM", "ZADD", "ZCARD", "ZRANGEBYSCORE", "ZREM", "ZREVRANGEBYSCORE",
)  # fmt: skip
_AGENT: Final = ("DEL", "HGETALL", "PEXPIRE", "XACK", "XADD", "XDEL", "XGROUP|CREATE", "XRANGE", "XREADGROUP")
_CHECKPOINTS: Final = (
    "PERSIST", "PEXPIRE", "SADD", "SCAN", "SMEMBERS", "SREM", "UNLINK", "ZADD", "ZCARD", "ZLEXCOUNT", "ZRANGE", "ZRANGEBYLEX",
    "ZREM", "ZREMRANGEBYLEX", "ZREVRANGEBYLEX", "ZSCORE",
)  # fmt: skip
"""Also what the scripts of the integration call: it cannot be imported where LangGraph is not installed."""
_FLOWS: Final = ("DEL", "GET", "SET")
_AGENT_SCRIPTS: Final = frozenset(
    {"claims_renew", "consumer_drop", "journal_append", "progress_hint", "stream_trim", "task_claim", "task_complete"}
)


@dataclass(frozen=True, slots=True)
class StorePermissions:
    """What one kind of process may do in Redis.

    Attributes:
        commands: The commands, a subcommand as `XGROUP|CREATE`.
        keys: Patterns of keys below the namespace. A pattern that begins with `%W` is only written, one with `%R` only read.
        channels: Patterns of channels below the namespace.
    """

    commands: Sequence[str]
    keys: Sequence[str]
    channels: Sequence[str] = ()

    def rules(self, *namespaces: str) -> list[str]:
        """The words after `ACL SETUSER name reset on >password`.

        Args:
            namespaces: The namespaces that the process works in; only a node can have several.
        """
        prefixes = [f"nn:{namespace}:" for namespace in namespaces]
        return [
            *(f"{access}~{prefix}{pattern}" for prefix in prefixes for access, pattern in map(_split, self.keys)),
            *(f"&{prefix}{pattern}" for prefix in prefixes for pattern in self.channels),
            "-@all",
            *(f"+{command.lower()}" for command in self.commands),
        ]


def _split(pattern: str) -> tuple[str, str]:
    return (pattern[:2], pattern[2:]) if pattern.startswith("%") else ("", pattern)


def commands_in(source: str) -> set[str]:
    """The commands that a Lua script calls."""
    found = _CALL.findall(source)
    return {f"{name}|{sub}" if name in _CONTAINERS else name for name, sub in found}


@cache
def permissions_of(role: RedisRole) -> StorePermissions:
    """What this kind of process needs."""
    if role == "checkpoints":
        return StorePermissions(sorted({*_CONNECTION, *_CHECKPOINTS}), ("checkpoints:{*", "checkpoint-runs:{*"))
    if role == "flows":
        return StorePermissions(sorted({*_CONNECTION, *_FLOWS}), ("flows:{*",))
    scripts = {script.name: commands_in(script.source) for script in packaged_scripts()}
    if role == "agent":
        inside = set[str]().union(*(scripts[name] for name in _AGENT_SCRIPTS))
        keys = ("wf:{*", "inbox:{*", "queue:{*", "%Rqueues:{*", "wake:{*")
        return StorePermissions(sorted({*_CONNECTION, *_AGENT, *inside}), keys, ("events:{*", "progress:{*"))
    inside = set[str]().union(*scripts.values())
    every = (
        "wf:{*", "inbox:{*", "queue:{*", "queues:{*", "wake:{*", "owned:{*", "closed:{*",
        "running", "restarting", "escalations", "definitions", "definition:{*", "archive:{*", "retentions",
    )  # fmt: skip
    return StorePermissions(sorted({*_CONNECTION, *_NODE, *inside}), every, ("events:{*", "progress:{*", "queued:{*"))


def rules_of(roles: Sequence[RedisRole], *namespaces: str) -> list[str]:
    """The words for one user with all of these roles, as an agent needs that keeps the state of flows with its own user.

    Each role after the first is a selector, one word in parentheses: its commands count for its keys only.
    """
    first, *others = (permissions_of(role).rules(*namespaces) for role in dict.fromkeys(roles))
    return [*first, *(f"({' '.join(rules)})" for rules in others)]
