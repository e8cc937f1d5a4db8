# SPDX-License-Identifier: Apache-2.0
"""Redis as far as nervenet uses it: the commands over dicts, the scripts as they are, in a Lua 5.1 interpreter.

The scripts are the protocol, so they are not imitated but run: `redis.call` comes back into the very same commands.
Values are bytes, errors are `RedisRefused` as the link gives them. Time is the loop's. What a schedule wants to know of
every write is told to `on_append`, `on_restored` and `on_script`; what it breaks on purpose (`sabotage`) is a script with another text.
"""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from lupa.lua51 import LuaRuntime

from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.script import LuaScript
from nervenet.streams.script import packaged_scripts

SCRIPTS: Final[dict[str, LuaScript]] = {script.name: script for script in packaged_scripts()}
ANSWERING: Final = frozenset((
    "journal_append", "task_complete", "decision_append", "task_claim", "workflow_adopt", "workflow_close", "workflow_renew", "owner_move",
))  # fmt: skip
"""Scripts about one head whose answer begins with a status."""
Id = tuple[int, int]
Kept = tuple[dict[bytes, Any], dict[bytes, int]]
_END: Final[Id] = (1 << 62, 1 << 62)


class Before(NamedTuple):
    """What stood in a head just before a script ran: the owner, the run, for `task_claim` the claim."""

    owner: bytes | None
    run: bytes | None
    claim: bytes | None


class Group:
    __slots__ = ("consumers", "last", "pending")

    def __init__(self) -> None:
        self.last: Id = (0, 0)
        self.pending: dict[Id, bytes] = {}
        self.consumers: set[bytes] = set()


class Stream:
    __slots__ = ("entries", "groups", "last")

    def __init__(self) -> None:
        self.entries: dict[Id, list[bytes]] = {}
        self.groups: dict[bytes, Group] = {}
        self.last: Id = (0, 0)


class Status(bytes):
    """A simple reply such as OK, which Lua sees as a table."""


OK: Final = Status(b"OK")


def text(value: Any) -> bytes:
    """An argument as it goes over the wire."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        return b"%d" % int(value)
    return str(value).encode()


def parse_id(word: bytes) -> Id:
    ms, _, n = word.partition(b"-")
    return int(ms), int(n or 0)


def show_id(at: Id) -> bytes:
    return b"%d-%d" % at


def _row(at: Id, fields: list[bytes]) -> list[Any]:
    return [show_id(at), list(fields)]


def _bounds(start: bytes, end: bytes) -> tuple[Id, Id]:
    low: Id = (0, 0) if start == b"-" else parse_id(start.removeprefix(b"("))
    if start[:1] == b"(":
        low = (low[0], low[1] + 1)
    high = _END if end == b"+" else parse_id(end) if b"-" in end else (int(end), 1 << 62)
    return low, high


class Interpreter:
    """The scripts, compiled once for all stores of this process."""

    def __init__(self) -> None:
        self._lua = LuaRuntime(encoding=None, unpack_returned_tuples=False, register_eval=False)
        self._table = self._lua.table_from
        self._scripts: dict[str, Any] = {}
        self._type = self._lua.eval(b"type")
        self.store: Store | None = None
        redis = self._lua.eval(b"function(call, pcall) redis = {call = call, pcall = pcall} end")
        redis(self._call, self._pcall)

    def compile(self, script: LuaScript) -> Any:
        found = self._scripts.get(script.sha)
        if found is None:
            body = b"function(KEYS, ARGV) " + script.source.encode() + b"\nend"
            found = self._scripts[script.sha] = self._lua.eval(body)
        return found

    def run(self, script: LuaScript, keys: Iterable[bytes], args: Iterable[bytes]) -> Any:
        return self._back(self.compile(script)(self._table(list(keys)), self._table(list(args))))

    def _call(self, *words: Any) -> Any:
        assert self.store is not None
        return self._into(self.store.execute(*map(text, words)))

    def _pcall(self, *words: Any) -> Any:
        try:
            return self._call(*words)
        except RedisRefused as error:
            return self._table({b"err": str(error).encode()})

    def _into(self, value: Any) -> Any:
        if value is None:
            return False
        if isinstance(value, list):
            return self._table([self._into(item) for item in value])
        if isinstance(value, Status):
            return self._table({b"ok": bytes(value)})
        return value

    def _back(self, value: Any) -> Any:
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, bytes | int):
            return value
        if isinstance(value, float):
            return int(value)
        return [self._back(value[i]) for i in range(1, len(value) + 1)]


INTERPRETER: Final = Interpreter()


class Store:
    """One server. `execute` is one command, atomic as in Redis; a blocking read that finds nothing answers None."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.data: dict[bytes, Any] = {}
        self.expires: dict[bytes, int] = {}
        self.scripts = {script.sha: script for script in SCRIPTS.values()}
        self.script_names = {script.sha: script.name for script in SCRIPTS.values()}
        self.on_append: Callable[[bytes, Id, bytes, bytes], None] | None = None
        self.on_add: Callable[[bytes], None] | None = None
        self.loses_wake: Callable[[], bool] | None = None
        self.on_script: Callable[[str, bytes, list[bytes], bytes, Before], None] | None = None
        self.on_archived: Callable[[list[bytes], list[bytes]], None] | None = None
        self.on_restored: Callable[[bytes], None] | None = None
        self.commands = 0

    def sabotage(self, name: str, old: str, new: str) -> None:
        """One script with another text, under its old name."""
        script = SCRIPTS[name]
        if old not in script.source:
            raise ValueError(f"{name} does not read {old!r} any more")
        self.scripts[script.sha] = LuaScript(name, script.source.replace(old, new))

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    def execute(self, command: Any, *words: Any) -> Any:
        self.commands += 1
        name = command if isinstance(command, str) else command.decode()
        return getattr(self, "do_" + name.lower())(*words)

    def do_evalsha(self, sha: Any, count: Any, *words: Any) -> Any:
        script = self.scripts[sha if isinstance(sha, str) else sha.decode()]
        cut = int(count)
        args = [text(word) for word in words]
        heard = self.on_script if script.name in ANSWERING else None
        if heard is not None:
            head = self.data.get(args[0], {})
            claim = head.get(b"c:" + args[cut + 1]) if script.name == "task_claim" else None
            before = Before(head.get(b"owner"), head.get(b"run"), claim)
        if script.name == "run_archived" and self.on_archived is not None:
            self.on_archived(args[:cut], args[cut:])
        INTERPRETER.store = self
        if script.name == "journal_restore":
            return self._restored(script, args[:cut], args[cut:])
        reply = INTERPRETER.run(script, args[:cut], args[cut:])
        if heard is not None:
            short = script.name == "task_complete" and len(reply) < 5  # an id: appended, and the owner is woken
            heard(script.name, args[0], args[cut:], b"new" if short else reply[0], before)
        return reply

    def _restored(self, script: LuaScript, keys: list[bytes], args: list[bytes]) -> Any:
        """It writes a journal again from some entry on, so what is heard of is the whole."""
        on_append, self.on_append = self.on_append, None
        try:
            return INTERPRETER.run(script, keys, args)
        finally:
            self.on_append = on_append
            if self.on_restored is not None:
                self.on_restored(keys[1])

    # ── a server that crashes ────────────────────────────────────────────────────────────────────────────────────────

    def kept(self) -> Kept:
        """What is on the disk at this moment."""
        return copy.deepcopy(self.data), dict(self.expires)

    def come_back(self, kept: Kept) -> None:
        """It starts again with that, and has lost everything since."""
        data, expires = kept
        self.data, self.expires = copy.deepcopy(data), dict(expires)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: bytes) -> Any:
        if key in self.expires and self.expires[key] <= self.now_ms():
            self.drop(key)
        return self.data.get(key)

    def drop(self, key: bytes) -> int:
        self.expires.pop(key, None)
        return int(self.data.pop(key, None) is not None)

    def _made(self, key: Any, kind: type) -> Any:
        found = self.get(key)
        if found is None:
            found = self.data[key] = kind()
        return found

    def do_time(self) -> Any:
        micros = int(self._now() * 1_000_000)
        return [b"%d" % (micros // 1_000_000), b"%d" % (micros % 1_000_000)]

    def do_ping(self) -> Any:
        return Status(b"PONG")

    def do_exists(self, *keys: bytes) -> int:
        return sum(self.get(key) is not None for key in keys)

    def do_del(self, *keys: Any) -> int:
        return sum(self.drop(text(key)) for key in keys)

    def do_copy(self, source: Any, target: Any, *_: Any) -> int:
        found = self.get(text(source))
        if found is None:
            return 0
        self.data[text(target)] = copy.deepcopy(found)
        self.expires.pop(text(target), None)
        if text(source) in self.expires:
            self.expires[text(target)] = self.expires[text(source)]
        return 1

    def do_get(self, key: bytes) -> Any:
        return self.get(key)

    def do_set(self, key: bytes, value: Any) -> Any:
        self.data[key] = text(value)
        return OK

    def do_pexpire(self, key: bytes, ms: Any) -> int:
        return self.do_pexpireat(key, self.now_ms() + int(ms))

    def do_pexpireat(self, key: bytes, at: Any) -> int:
        if self.get(key) is None:
            return 0
        self.expires[key] = int(at)
        return 1

    def do_pttl(self, key: bytes) -> int:
        if self.get(key) is None:
            return -2
        return self.expires[key] - self.now_ms() if key in self.expires else -1

    def do_persist(self, key: bytes) -> int:
        return int(self.expires.pop(key, None) is not None)

    def do_publish(self, channel: bytes, message: bytes) -> int:
        return 0

    def do_scan(self, cursor: Any, *words: Any) -> Any:
        pattern = text(words[words.index("MATCH") + 1]).decode()
        return [b"0", [key for key in sorted(self.data) if fnmatch.fnmatchcase(key.decode(), pattern)]]

    # ── hashes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_hset(self, key: bytes, *pairs: Any) -> int:
        table, words = self._made(key, dict), [text(word) for word in pairs]
        before = len(table)
        table.update(zip(words[::2], words[1::2], strict=True))
        return len(table) - before

    def do_hget(self, key: bytes, field: Any) -> Any:
        return (self.get(key) or {}).get(text(field))

    def do_hexists(self, key: bytes, field: Any) -> int:
        return int(text(field) in (self.get(key) or {}))

    def do_hmget(self, key: bytes, *fields: Any) -> Any:
        table = self.get(key) or {}
        return [table.get(text(field)) for field in fields]

    def do_hgetall(self, key: bytes) -> Any:
        return [word for pair in (self.get(key) or {}).items() for word in pair]

    def do_hlen(self, key: bytes) -> int:
        return len(self.get(key) or ())

    def do_hvals(self, key: bytes) -> Any:
        return list((self.get(key) or {}).values())

    def do_hkeys(self, key: bytes) -> Any:
        return list(self.get(key) or {})

    def do_hdel(self, key: bytes, *fields: Any) -> int:
        """The same for the members of a set and of a sorted set."""
        table = self.get(key)
        if table is None:
            return 0
        before = len(table)
        for field in fields:
            table.pop(text(field), None)
        removed = before - len(table)
        if not table:
            self.drop(key)
        return removed

    do_srem = do_zrem = do_hdel

    def do_scard(self, key: bytes) -> int:
        return len(self.get(key) or ())

    do_zcard = do_scard

    def do_hincrby(self, key: bytes, field: Any, by: Any) -> int:
        table = self._made(key, dict)
        value = int(table.get(text(field), b"0")) + int(by)
        table[text(field)] = b"%d" % value
        return value

    # ── sets, sorted sets ────────────────────────────────────────────────────────────────────────────────────────────

    def do_sadd(self, key: bytes, *members: Any) -> int:
        found = self._made(key, dict)
        before = len(found)
        found.update(dict.fromkeys(map(text, members)))
        return len(found) - before

    def do_sscan(self, key: bytes, cursor: Any, *words: Any) -> Any:
        return [b"0", list(self.get(key) or ())]

    def do_smismember(self, key: bytes, *members: Any) -> Any:
        found = self.get(key) or ()
        return [int(text(member) in found) for member in members]

    def do_zadd(self, key: bytes, *words: Any) -> int:
        only_known, only_new = words[0] in ("XX", b"XX"), words[0] in ("NX", b"NX")
        rest = words[1:] if only_known or only_new else words
        found = self._made(key, dict)
        added = 0
        for score, member in zip(rest[::2], rest[1::2], strict=True):
            name = text(member)
            if (name in found or not only_known) and not (name in found and only_new):
                added += name not in found
                found[name] = float(score)
        if not found:
            self.drop(key)
        return added

    def do_zscore(self, key: bytes, member: Any) -> Any:
        score = (self.get(key) or {}).get(text(member))
        return None if score is None else text(score)

    def do_zrangebyscore(self, key: bytes, low: Any, high: Any, *words: Any) -> Any:
        return self._by_score(key, float(low), float(high), words, newest=False)

    def do_zrevrangebyscore(self, key: bytes, high: Any, low: Any, *words: Any) -> Any:
        return self._by_score(key, float(low), float(high), words, newest=True)

    def _by_score(self, key: bytes, low: float, high: float, words: tuple[Any, ...], *, newest: bool) -> Any:
        rows = sorted(((s, m) for m, s in (self.get(key) or {}).items() if low <= s <= high), reverse=newest)
        options = [text(word) for word in words]
        if b"LIMIT" in options:
            at = options.index(b"LIMIT")
            rows = rows[int(options[at + 1]) :][: int(options[at + 2])]
        if b"WITHSCORES" not in options:
            return [member for _, member in rows]
        return [word for score, member in rows for word in (member, text(score))]

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_xadd(self, key: bytes, *words: Any) -> Any:
        if b":wake:{" in key and self.loses_wake is not None and self.loses_wake():
            return b"0-1"
        rest = list(words)
        stream: Stream | None = self.get(key)
        most = None
        while text(rest[0]) in (b"NOMKSTREAM", b"MAXLEN"):
            if text(rest[0]) == b"NOMKSTREAM":
                if stream is None:
                    return None
                rest = rest[1:]
            else:
                most, rest = int(rest[2]), rest[3:]
        if stream is None:
            stream = self.data[key] = Stream()
        now = self.now_ms()
        where = text(rest[0])
        if where == b"*":
            at = (now, 0) if now > stream.last[0] else (stream.last[0], stream.last[1] + 1)
        else:
            at = parse_id(where)
        if at <= stream.last:
            raise RedisRefused("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        stream.last = at
        fields = [text(word) for word in rest[1:]]
        stream.entries[at] = fields
        if most is not None:
            while len(stream.entries) > most:
                del stream.entries[next(iter(stream.entries))]
        if self.on_append is not None and key.endswith(b"}:journal"):
            self.on_append(key, at, fields[1], fields[3])
        if self.on_add is not None:
            self.on_add(key)
        return show_id(at)

    def _entries(self, key: bytes) -> dict[Id, list[bytes]]:
        stream: Stream | None = self.get(key)
        return stream.entries if stream else {}

    def do_xlen(self, key: bytes) -> int:
        return len(self._entries(key))

    def do_xdel(self, key: bytes, *ids: Any) -> int:
        entries = self._entries(key)
        return sum(entries.pop(parse_id(text(at)), None) is not None for at in ids)

    def do_xack(self, key: bytes, group: Any, *ids: Any) -> int:
        stream = self.get(key)
        found = stream.groups.get(text(group)) if stream else None
        return sum(found.pending.pop(parse_id(text(at)), None) is not None for at in ids) if found else 0

    def do_xrange(self, key: bytes, start: Any, end: Any, *words: Any) -> Any:
        low, high = _bounds(text(start), text(end))
        rows = [_row(at, fields) for at, fields in self._entries(key).items() if low <= at <= high]
        return rows[: int(words[1])] if words else rows

    def do_xrevrange(self, key: bytes, end: Any, start: Any, *words: Any) -> Any:
        rows = self.do_xrange(key, start, end)[::-1]
        return rows[: int(words[1])] if words else rows

    def do_xtrim(self, key: bytes, _: Any, least: Any) -> int:
        entries, floor = self._entries(key), parse_id(text(least))
        old = [at for at in entries if at < floor]
        for at in old:
            del entries[at]
        return len(old)

    def do_xread(self, *words: Any) -> Any:
        at = words.index("STREAMS")
        most = int(words[words.index("COUNT") + 1])
        key, after = words[at + 1], parse_id(text(words[at + 2]))
        rows = [_row(i, fields) for i, fields in self._entries(key).items() if i > after][:most]
        return [[key, rows]] if rows else None

    def do_xreadgroup(self, *words: Any) -> Any:
        group, consumer = text(words[1]), text(words[2])
        at = words.index("STREAMS")
        most = int(words[words.index("COUNT") + 1])
        key, after = words[at + 1], text(words[at + 2])
        found, entries = self._group(key, group), self._entries(key)
        found.consumers.add(consumer)
        if after != b">":
            floor = parse_id(after)
            mine = sorted(i for i, who in found.pending.items() if who == consumer and i > floor)[:most]
            return [[key, [_row(i, entries[i]) if i in entries else [show_id(i), None] for i in mine]]]
        rows = [i for i in entries if i > found.last][:most]
        if not rows:
            return None
        found.last = rows[-1]
        found.pending.update(dict.fromkeys(rows, consumer))
        return [[key, [_row(i, entries[i]) for i in rows]]]

    def do_xgroup(self, what: Any, key: bytes, group: Any, *words: Any) -> Any:
        name, stream = text(group), self.get(key)
        what = text(what).decode()
        if what == "CREATE":
            stream = self._made(key, Stream)
            if name in stream.groups:
                raise RedisRefused("BUSYGROUP Consumer Group name already exists")
            stream.groups[name] = Group()
            return OK
        if stream is None:
            raise RedisRefused("ERR The XGROUP subcommand requires the key to exist")
        if what == "DESTROY":
            return int(stream.groups.pop(name, None) is not None)
        found, consumer = stream.groups[name], text(words[0])
        held = [i for i, who in found.pending.items() if who == consumer]
        for i in held:
            del found.pending[i]
        found.consumers.discard(consumer)
        return len(held)

    def _group(self, key: bytes, group: Any) -> Group:
        stream = self.get(key)
        found: Group | None = stream.groups.get(text(group)) if stream else None
        if found is None:
            raise RedisRefused("NOGROUP No such key or consumer group")
        return found

    def do_xpending(self, key: bytes, group: Any, *words: Any) -> Any:
        found = self._group(key, group)
        if not words:
            low, high = min(found.pending, default=None), max(found.pending, default=None)
            return [len(found.pending), low and show_id(low), high and show_id(high), []]
        low_id, high_id = _bounds(text(words[0]), text(words[1]))
        consumer = text(words[3]) if len(words) > 3 else None
        rows = [
            [show_id(i), who, 0, 1]
            for i, who in sorted(found.pending.items())
            if low_id <= i <= high_id and consumer in (None, who)
        ]
        return rows[: int(words[2])]

    def do_xinfo(self, what: Any, key: bytes, *words: Any) -> Any:
        stream = self.get(key)
        if stream is None:
            raise RedisRefused("ERR no such key")
        if text(what) == b"GROUPS":
            return [
                [b"name", name, b"last-delivered-id", show_id(group.last), b"pending", len(group.pending)]
                for name, group in sorted(stream.groups.items())
            ]
        return [[b"name", name, b"pending", 0] for name in sorted(self._group(key, words[0]).consumers)]
