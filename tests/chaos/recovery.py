# SPDX-License-Identifier: Apache-2.0
"""How long the workflows stood still that a fault orphaned: noted at the fault, reckoned afterwards from the journals.

Only *busy* workflows count, those that always have a short task under way: the others have reasons of their own to be
silent. Orphaned are, by kind of fault:

- a node's: what it owned. *first* = from the signal to the first new entry, whoever appended it; *owner* = to the first
  sign of a new owner: a task begun that nobody had begun before, or an entry that only owners append.
- an agent's: what it had claimed. *first* as above; *again* = to the moment when another began the very step.
- a server's: every open one. *first*.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from tests.chaos.checker import Entry, Evidence
from tests.chaos.mesh import NAMESPACE, Slot, Torture
from tests.support.torture import quantile

OWNERS = ("timer:", "escalated:", "child:", "sent:", "close")


@dataclass
class Hit:
    """A fault, when it lasted, and whom it orphaned: workflow → the steps that were claimed by the one who was hit."""

    kind: str
    at_ms: int
    orphans: dict[str, list[str]] = field(default_factory=dict)
    until_ms: int = 0


class Orphans:
    """Looks, just before a fault, at who depends on what will be hit."""

    def __init__(self, torture: Torture, open_busy: Callable[[], list[str]]) -> None:
        self._torture, self._open_busy = torture, open_busy

    async def look(self, kind: str, slot: Slot | None) -> Hit:
        """Nobody is orphaned as far as we know while Redis does not answer."""
        ids = await self._torture.ids(slot) if slot is not None else set()
        found: dict[str, list[str]] = {}
        with contextlib.suppress(RedisError, OSError):
            door: Any = self._torture.redis
            pipe = door.pipeline(transaction=False)
            asked = self._open_busy()
            for one in asked:
                pipe.hgetall(f"nn:{NAMESPACE}:wf:{{{one}}}")
            for one, head in zip(asked, await pipe.execute(), strict=True):
                if head and b"closed" not in head and (steps := _depends(head, slot, ids)) is not None:
                    found[one] = steps
        return Hit(kind, int(time.time() * 1000), found)


def _depends(head: Mapping[bytes, bytes], slot: Slot | None, ids: set[str]) -> list[str] | None:
    if slot is None:
        return []
    if slot.kind == "node":
        return [] if head.get(b"owner", b"").decode() in ids else None
    held = [name[2:].decode() for name, claim in head.items() if name[:2] == b"c:" and claim.split()[1].decode() in ids]
    return held or None


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────────


Sample = tuple[int, bool, str, int]
"""ms, whether no other fault was under way from 2 s before it on, the workflow, when the fault was."""


def samples(hits: Sequence[Hit], evidence: Evidence) -> dict[str, list[Sample]]:
    """Per kind of fault and measure."""
    begun: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for key, _, at in evidence.executions:
        workflow, _, step = key.rpartition("/")
        begun[workflow][step].append(at)
    found: dict[str, list[Sample]] = defaultdict(list)
    for hit in hits:
        for workflow, steps in hit.orphans.items():
            for measure, value in _waited(hit, steps, evidence.journals.get(workflow, []), begun[workflow]).items():
                found[f"{hit.kind} {measure}"].append((value, _alone(hit, value, hits), workflow, hit.at_ms))
    return dict(sorted(found.items()))


def _alone(hit: Hit, value: int, hits: Iterable[Hit]) -> bool:
    return not any(
        other is not hit and other.at_ms <= hit.at_ms + value and other.until_ms >= hit.at_ms - 2000 for other in hits
    )


def _waited(hit: Hit, steps: list[str], journal: list[Entry], begun: Mapping[str, list[int]]) -> dict[str, int]:
    later = [entry for entry in journal if entry.ms > hit.at_ms]
    found = {"first": later[0].ms - hit.at_ms} if later else {}
    if hit.kind.startswith("node"):
        signs = [entry.ms for entry in later if entry.name.startswith(OWNERS)]
        signs += [min(times) for times in begun.values() if min(times) > hit.at_ms]
        if signs:
            found["owner"] = min(signs) - hit.at_ms
    for step in steps:
        if again := [at for at in begun.get(step, ()) if at > hit.at_ms]:
            found["again"] = max(found.get("again", 0), min(again) - hit.at_ms)
    return found


def figures(taken: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """From samples: how many workflows, p50, p99 and worst in ms; the same of those whose fault came alone; the slowest."""
    return {
        name: _quantiles([row[0] for row in rows])
        | {"alone": _quantiles([row[0] for row in rows if row[1]]), "slowest": sorted(rows, reverse=True)[:5]}
        for name, rows in taken.items()
    }


def _quantiles(values: list[int]) -> dict[str, Any]:
    parts = {"p50": 0.5, "p99": 0.99, "max": 1.0} if values else {}
    return {"workflows": len(values), **{name: quantile(values, part) for name, part in parts.items()}}
