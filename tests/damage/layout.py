# SPDX-License-Identifier: Apache-2.0
"""The keys of the mesh as protos/README.md lists them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parents[2] / "protos/README.md"
_ROW = re.compile(r"^\| (`[^|]*`) \| ([^|]*) \|", re.MULTILINE)
_KEY = re.compile(r"`([^`]+)`")
_REDIS_TYPES = ("stream", "hash", "string", "sorted set", "set", "channel")


class Key(NamedTuple):
    """One row: the pattern, and the type that Redis knows it as ("etcd" for those of etcd)."""

    pattern: str
    kind: str


def keys() -> list[Key]:
    """Every row of the tables. `…:x` stands for the family of the row's first key."""
    found: list[Key] = []
    for cell, kinds in _ROW.findall(README.read_text()):
        patterns = _KEY.findall(cell)
        if patterns[0].startswith("nn:<ns>:"):
            named = [kind.strip() for kind in re.split(r", (?!group|no )", kinds)]
            types = [next(t for t in _REDIS_TYPES if kind.startswith(t)) for kind in named]
            first = patterns[0]
            base = first[: first.rindex("}") + 1] if "}" in first else first
            types = types if len(types) == len(patterns) else types * len(patterns)
            found += [Key(pattern.replace("…", base), kind) for pattern, kind in zip(patterns, types, strict=True)]
        elif re.match(r"(agents|load|nodes|tombstones)/<", patterns[0]):
            found.append(Key(patterns[0], "etcd"))
    return found
