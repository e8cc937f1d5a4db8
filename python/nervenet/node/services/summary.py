# SPDX-License-Identifier: Apache-2.0
"""The steps of a workflow in short: those that are alike as one group, and of the others no more than a page shows first.

Pure: it chooses and counts; `reads.py` tells what it chose. The rules are those by which `nervenet show` folds steps: a group is
ten or more steps with the same name, as far as its first '.', and the same capability.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.v1 import task_pb2

if TYPE_CHECKING:
    from nervenet.node.services.history import Step
    from nervenet.records import Usage

ALIKE: Final = 10
"""From this number on, steps that are alike are a group."""
NAMED: Final = 3
"""Steps of a group that are told themselves: as many in trouble, and as many that wait for a human."""
MOST_ALONE: Final = 300
"""Steps in no group that are told."""
_OPEN: Final = frozenset(
    (task_pb2.TASK_STATE_QUEUED, task_pb2.TASK_STATE_RUNNING, task_pb2.TASK_STATE_WAITING_FOR_HUMAN)
)


class Member(NamedTuple):
    """What the summary needs of a step. `ended_ms` counts only where the state is one of an end."""

    step: str
    capability: str
    state: int
    began_ms: int
    ended_ms: int
    has_failed_before: bool
    usage: Sequence[Usage]
    source: Step | task_pb2.Task
    """What it was made from."""

    @property
    def is_open(self) -> bool:
        return self.state in _OPEN

    @property
    def is_troubled(self) -> bool:
        return self.state == task_pb2.TASK_STATE_FAILED or (self.has_failed_before and self.is_open)


@dataclass(slots=True)
class Group:
    """Steps that are alike, as they began."""

    name: str
    capability: str
    members: list[Member] = field(default_factory=list)

    @property
    def to_look_at(self) -> list[Member]:
        asked = (each for each in self.members if each.state == task_pb2.TASK_STATE_WAITING_FOR_HUMAN)
        return [*_first(NAMED, (each for each in self.members if each.is_troubled)), *_first(NAMED, asked)]

    @property
    def counts(self) -> dict[int, int]:
        return dict(Counter(each.state for each in self.members))

    @property
    def troubled(self) -> int:
        return sum(each.is_troubled for each in self.members)

    @property
    def ended_ms(self) -> int:
        """When the last one ended; 0 while one is open."""
        return 0 if any(each.is_open for each in self.members) else max(each.ended_ms for each in self.members)


class Summary(NamedTuple):
    """The groups, and the steps that are told themselves, as they began."""

    groups: list[Group]
    told: list[Member]
    usage: dict[str, tuple[int, int]]
    """Tokens of all steps by model: read, written."""


def summarize(members: Iterable[Member], wanted: Container[str] = ()) -> Summary:
    """Args:
    wanted: Names of steps that are told in any case.
    """
    ordered = sorted(members, key=lambda each: each.began_ms)
    by_key: dict[tuple[str, str], Group] = {}
    for each in ordered:
        key = each.step.partition(".")[0], each.capability
        found = by_key.get(key)
        if found is None:
            found = by_key[key] = Group(*key)
        found.members.append(each)
    groups = [group for group in by_key.values() if len(group.members) >= ALIKE]
    alone = (each for group in by_key.values() if len(group.members) < ALIKE for each in group.members)
    names = {each.step for each in _first(MOST_ALONE, sorted(alone, key=lambda each: each.began_ms))}
    names.update(each.step for group in groups for each in group.to_look_at)
    told = [each for each in ordered if each.step in names or each.step in wanted]
    return Summary(groups, told, _tokens(ordered))


def _first(number: int, members: Iterable[Member]) -> list[Member]:
    return list(islice(members, number))


def _tokens(members: Iterable[Member]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for used in (used for each in members for used in each.usage):
        read, written = found.get(used.model, (0, 0))
        found[used.model] = read + used.input_tokens, written + used.output_tokens
    return found
