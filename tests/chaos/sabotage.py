# SPDX-License-Identifier: Apache-2.0
"""Breaks a law on the way to Redis, so that the checker can show that it sees: `make chaos SABOTAGE=…`.

The product is untouched: the lie is told by the cable. Where it concerns a script, the cable hands Redis another text of
the same length and exchanges the two names (sha1) in both directions.

    write-once (also 1)   every outcome is "new", every copy of a task may run
    leak                  what a node takes out of a set stays in it
    keys                  every copy of a task may run, and the world outside forgets its idempotency keys
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tests.support.environment import ROOT
from tests.support.tcp_proxy import Tamper

SCRIPTS = ROOT / "python" / "nervenet" / "streams" / "scripts"
Pair = tuple[bytes, bytes]

CLAIMS: Sequence[Pair] = (
    (b"elseif h[4] then\n  return {'done'", b"elseif nil  then\n  return {'done'"),
    (b"elseif n == attempt and who ~= agent", b"elseif n == nil     and who ~= agent"),
)
TWICE: Sequence[Pair] = ((b"h[6], h[8] or h[9]", b"h[6], nil         "),)
LIES: dict[str, dict[str, Sequence[Pair]]] = {
    "write-once": {"journal_append": TWICE, "task_complete": TWICE, "task_claim": CLAIMS},
    "keys": {"task_claim": CLAIMS},
}
PLAIN: dict[str, Sequence[Pair]] = {"leak": [(b"SREM\r\n", b"SADD\r\n")]}
KINDS = (*LIES, *PLAIN)


def chosen(word: str) -> str:
    """The sabotage that SABOTAGE names; "" = none."""
    kind = "write-once" if word == "1" else word
    if kind and kind not in KINDS:
        raise SystemExit(f"SABOTAGE={word}: choose one of {', '.join(KINDS)}")
    return kind


def liar(kind: str) -> Tamper | None:
    """What the cables to Redis do to the bytes under this sabotage."""
    up: list[Pair] = list(PLAIN.get(kind, ()))
    down: list[Pair] = []
    for name, pairs in LIES.get(kind, {}).items():
        true = (SCRIPTS / f"{name}.lua").read_bytes()
        false = true
        for old, new in pairs:
            if true.count(old) != 1 or len(old) != len(new):
                raise SystemExit(f"the sabotage does not fit {name}.lua any more: {old.decode()}")
            false = false.replace(old, new)
        up += [(true, false), (_sha(true), _sha(false))]
        down.append((_sha(false), _sha(true)))
    return (lambda upward: Exchange(up if upward else down)) if up else None


def _sha(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


class Exchange:
    """Replaces byte strings in a stream, also where a read ends in the middle of one."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._held = b""

    def __call__(self, data: bytes) -> bytes:
        data = self._held + data
        for old, new in self._pairs:
            data = data.replace(old, new)
        keep = max((_begun(data, old) for old, _ in self._pairs), default=0)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]


def _begun(data: bytes, pattern: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of `pattern`."""
    for length in range(min(len(data), len(pattern) - 1), 0, -1):
        if data.endswith(pattern[:length]):
            return length
    return 0
