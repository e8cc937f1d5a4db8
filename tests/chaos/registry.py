# SPDX-License-Identifier: Apache-2.0
"""Who is registered, by etcd's own JSON gateway: no client of the product's, no generated code, a read that any member answers."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple


class Member(NamedTuple):
    """A key below /nervenet/<namespace>/: its kind (`nodes`, `agents`, `load`, `tombstones`), the process, its address."""

    kind: str
    id: str
    address: str


def members(urls: Sequence[str], namespace: str) -> list[Member]:
    """From the first member that answers; OSError when none does."""
    error: OSError = OSError("no etcd")
    for url in urls:
        try:
            return _members(url, f"/nervenet/{namespace}/")
        except OSError as failed:
            error = failed
    raise error


def _members(url: str, prefix: str) -> list[Member]:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    ask = json.dumps({"key": _base64(prefix), "range_end": _base64(end)}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v3/kv/range", ask), timeout=3) as answer:
        rows = json.loads(answer.read()).get("kvs", [])
    found = []
    for row in rows:
        kind, _, process = base64.b64decode(row["key"]).decode()[len(prefix) :].partition("/")
        value = json.loads(base64.b64decode(row.get("value", "")) or b"{}")
        found.append(Member(kind, process, str(value.get("address") or value.get("controlEndpoint") or "")))
    return found


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
