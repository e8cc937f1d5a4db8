# SPDX-License-Identifier: Apache-2.0
"""How checkpoints, values and writes are laid out as members of one sorted set. Pure: values in, bytes out.

All members of a thread have the score 0, so Redis orders them by their bytes, and a member is a key and a value in one:
a text whose parts end with NUL, then the content. A prefix finds one member or a range of them in logarithmic time.

    c <ns> <checkpoint> <parent> <root> <run> <number of channels> {<flag and channel> <version> <place>} <content>
    v <ns> <channel> <base> <position in the chain> <content>
    w <ns> <checkpoint> <task> <index> <content>

The *place* of a channel's value is one of:

    (empty)           it has no value
    =<type>:<hex>     the value itself, if it has at most 24 bytes
    <base>/<position> members `v … <base> 00` to `v … <base> <position>`

A chain begins with a value in full; each further member is the difference to the one before (`difference`). So a list of
messages that grows by one message takes the bytes of that message, not of the whole list. Redis' scripts (scripts/) read
everything except the content. Content is bytes of LangGraph's serializer.

The flag is `v` for a channel with a value, `d` for a DeltaChannel that LangGraph rebuilds from its ancestors, `e` for
one without a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from nervenet.errors import NervenetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "CHAIN_LENGTH",
    "Channel",
    "Checkpoint",
    "Typed",
    "Version",
    "Write",
    "apply_difference",
    "chain_of",
    "check_part",
    "content_of_checkpoint",
    "content_of_difference",
    "content_of_value",
    "difference",
    "inline",
    "parse_checkpoint",
    "parse_inline",
    "parse_value",
    "parse_write",
    "split_member",
    "version_text",
    "with_other_bases",
    "write_member",
]

Typed: TypeAlias = tuple[str, bytes]
"""What LangGraph's serializer makes of an object: the name of the encoding, and the bytes."""
Version: TypeAlias = str | int | float

CHAIN_LENGTH: Final = 32
"""Members of one chain at most: reading a value reads its chain."""

_INLINE_BYTES: Final = 24
_INDEX_OFFSET: Final = 1_000  # LangGraph's special writes have indexes below 0
_PARTS: Final = {b"c": 3, b"v": 5, b"w": 5}  # of the beginning that makes a member unique
_LEAST_SAVED: Final = 64


class Unreadable(NervenetError):
    """A member has another form: another program wrote it, or a release of nervenet with another layout."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a checkpoint: its version, and where its value is."""

    name: str
    flag: str
    version: Version
    place: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it is stored: `content` and `metadata` are serialized, and the values of channels are elsewhere."""

    ns: str
    id: str
    parent: str
    run: str
    channels: tuple[Channel, ...]
    content: Typed
    metadata: Typed


class Write(NamedTuple):
    """A write of a task. Ordered by `path`, `task`, `position`, as LangGraph applies writes."""

    path: str
    task: str
    position: int
    channel: str
    value: Typed


def check_part(text: str, what: str) -> str:
    """The text, or ValueError if it cannot be a part of a member."""
    if "\0" in text:
        raise ValueError(f"{what} {text!r} has a NUL character: checkpoints cannot be stored under such a name")
    return text


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


def content_of_checkpoint(checkpoint: Typed, metadata: Typed) -> bytes:
    head = f"{check_part(checkpoint[0], 'encoding')}\0{check_part(metadata[0], 'encoding')}\0{len(checkpoint[1])}\0"
    return head.encode() + checkpoint[1] + metadata[1]


def parse_checkpoint(member: bytes) -> Checkpoint:
    """Raises `Unreadable`."""
    try:
        kind, ns, own, parent, _root, run, count, rest = member.split(b"\0", 7)
        if kind != b"c":
            raise ValueError("it is no checkpoint")
        *fields, rest = rest.split(b"\0", 3 * int(count))
        channels = [
            Channel(name[1:], name[:1], _version(version), place)
            for name, version, place in zip(*[iter(field.decode() for field in fields)] * 3, strict=True)
        ]
        encoding, metadata_encoding, size, data = rest.split(b"\0", 3)
        content = encoding.decode(), data[: int(size)]
        metadata = metadata_encoding.decode(), data[int(size) :]
        return Checkpoint(ns.decode(), own.decode(), parent.decode(), run.decode(), tuple(channels), content, metadata)
    except ValueError as error:
        raise _unreadable(member, error) from error


def version_text(version: Version) -> str:
    """The version with its type, because LangGraph compares versions: an int must not come back as a str."""
    kind = "i" if isinstance(version, int) else "f" if isinstance(version, float) else "s"
    return check_part(f"{kind}{version}", "version")


def _version(text: str) -> Version:
    kind, rest = text[:1], text[1:]
    return int(rest) if kind == "i" else float(rest) if kind == "f" else rest


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def inline(value: Typed) -> str | None:
    """The place of a small value, which contains it. None: the value is too large."""
    encoding, data = value
    return f"={check_part(encoding, 'encoding')}:{data.hex()}" if len(data) <= _INLINE_BYTES else None


def parse_inline(place: str) -> Typed | None:
    """The value that a place contains, if it contains one."""
    if not place.startswith("="):
        return None
    encoding, _, data = place[1:].rpartition(":")
    return encoding, bytes.fromhex(data)


def chain_of(place: str) -> tuple[str, int] | None:
    """Base and position of a value that has members of its own."""
    base, slash, position = place.partition("/")
    return (base, int(position)) if slash and not place.startswith("=") else None


class Difference(NamedTuple):
    """A value as a change of the one before: `head`, then its bytes `start` to `stop`, then `tail`."""

    head: bytes
    start: int
    stop: int
    tail: bytes


def difference(old: bytes, new: bytes) -> Difference | None:
    """How `new` follows from `old` if it begins like it, which a list does that has grown. None: too little in common.

    A MessagePack array begins with its length, so that two lists differ in their first one to five bytes.
    """
    skipped, head = _header(old), _header(new)
    common = _common(old, skipped, new, head)
    if common < max(len(new) // 2, _LEAST_SAVED):
        return None
    return Difference(new[:head], skipped, skipped + common, new[head + common :])


def apply_difference(old: bytes, change: Difference) -> bytes:
    return b"".join((change.head, memoryview(old)[change.start : change.stop], change.tail))


def _header(data: bytes) -> int:
    """The bytes before the first element of a MessagePack array; 0: it is none."""
    first = data[0] if data else 0
    return 1 if 0x90 <= first <= 0x9F else {0xDC: 3, 0xDD: 5}.get(first, 0)


def _common(old: bytes, at: int, new: bytes, start: int) -> int:
    """The number of equal bytes from these positions on: a search by halves, since comparing slices is fast."""
    left, right = memoryview(old)[at:], memoryview(new)[start:]
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def content_of_value(value: Typed) -> bytes:
    return f"{check_part(value[0], 'encoding')}\0".encode() + value[1]


def content_of_difference(encoding: str, change: Difference) -> bytes:
    return f"{encoding}\0{change.start}\0{change.stop}\0{len(change.head)}\0".encode() + change.head + change.tail


def parse_value(content: bytes, position: int, before: Typed | None) -> Typed:
    """The value at a position of a chain, from the value before it. Raises `Unreadable`."""
    try:
        if position == 0:
            encoding, data = content.split(b"\0", 1)
            return encoding.decode(), data
        if before is None:
            raise ValueError("the value before it is missing")
        encoding, start, stop, size, data = content.split(b"\0", 4)
        head, tail = data[: int(size)], data[int(size) :]
        return encoding.decode(), apply_difference(before[1], Difference(head, int(start), int(stop), tail))
    except ValueError as error:
        raise _unreadable(content, error) from error


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_member(ns: str, checkpoint_id: str, write: Write) -> tuple[bytes, bytes]:
    """The beginning of the member, which makes it unique, and its content."""
    task = check_part(write.task, "task id")
    prefix = f"w\0{ns}\0{checkpoint_id}\0{task}\0{write.position + _INDEX_OFFSET:06d}\0"
    path, channel = check_part(write.path, "task path"), check_part(write.channel, "channel")
    head = f"{path}\0{channel}\0{check_part(write.value[0], 'encoding')}\0"
    return prefix.encode(), head.encode() + write.value[1]


def parse_write(member: bytes) -> Write:
    """Raises `Unreadable`."""
    try:
        _, _, _, task, index, path, channel, encoding, data = member.split(b"\0", 8)
        value = encoding.decode(), data
        return Write(path.decode(), task.decode(), int(index) - _INDEX_OFFSET, channel.decode(), value)
    except ValueError as error:
        raise _unreadable(member, error) from error


# ── all ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def split_member(member: bytes) -> tuple[bytes, bytes]:
    """The beginning that makes a member unique, and its content. Raises `Unreadable`."""
    count = _PARTS.get(member[:1])
    parts = member.split(b"\0", count or 0)
    if count is None or len(parts) != count + 1:
        raise _unreadable(member, "its beginning is none of ours")
    return member[: len(member) - len(parts[-1])], parts[-1]


def with_other_bases(members: Sequence[bytes], new_base: Callable[[], str]) -> list[bytes]:
    """The members with other names for all chains, as a copy needs them: original and copy may continue the same chain in
    different ways, and must not take the members of each other for their own."""
    names: dict[bytes, bytes] = {}

    def renamed(base: bytes) -> bytes:
        return names.setdefault(base, new_base().encode())

    changed: list[bytes] = []
    for member in members:
        if member.startswith(b"v\0"):
            kind, ns, channel, base, rest = member.split(b"\0", 4)
            member = b"\0".join((kind, ns, channel, renamed(base), rest))
        elif member.startswith(b"c\0"):
            *head, count, rest = member.split(b"\0", 7)
            *fields, content = rest.split(b"\0", 3 * int(count))
            for n in range(2, len(fields), 3):
                if chain_of(fields[n].decode()) is not None:
                    base, position = fields[n].split(b"/")
                    fields[n] = renamed(base) + b"/" + position
            member = b"\0".join((*head, count, *fields, content))
        changed.append(member)
    return changed


def _unreadable(member: bytes, why: object) -> Unreadable:
    return Unreadable(
        f"A stored checkpoint cannot be read ({why}): {member[:60]!r}. Another program wrote it, or another release of "
        "nervenet. Delete the thread, or use a namespace of its own for each release."
    )
