# SPDX-License-Identifier: Apache-2.0
"""What a schedule is mostly about. An average of all faults hardly ever meets the rare ones together: two attempts of one
step at once, two nodes that adopt the same workflow, a copy that comes in the run after its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.simulation.flows import EXPECTED

OF_NODES: Final = ("kill node", "kill node", "stop node", "cut off node", "drain node")
OF_AGENTS: Final = ("kill agent", "stop agent", "cut off agent")
OF_LINKS: Final = ("lose reply", "lose command", "cut links", "vanish", "garble")
LEAVES: Final = "caller leaves"
CRASH: Final = "crash"
FAULTS: Final = frozenset((*OF_NODES, *OF_AGENTS, *OF_LINKS, LEAVES, CRASH))


@dataclass(frozen=True)
class Weather:
    """Each field is what is drawn from, or a chance."""

    shapes: Sequence[str] = tuple(shape for shape in EXPECTED if shape not in ("lingers", "poisoned"))
    workflows: Sequence[int] = (1, 1, 2)
    nodes: Sequence[int] = (2, 2, 3)
    agents: Sequence[int] = (1, 2, 2)
    faults: Sequence[str] = (*OF_NODES, *OF_AGENTS, *OF_LINKS)
    many: Sequence[int] = (0, 1, 1, 2, 2, 3)
    duplicates: Sequence[float] = (0.0, 0.2, 0.8)
    late: Sequence[float] = (0.0, 0.2)
    lost_wakes: Sequence[float] = (0.0, 0.0, 0.3, 1.0)
    reach: int = 120
    """Faults fall among the first commands, this many, after everybody is up: about as many as a schedule has."""
    luckless: float = 0.08
    hopeless: float = 0.7
    slow: float = 0.15
    pauses: Sequence[float] = (0.5, 4.0, 7.0, 9.0)
    """How many seconds a process stands still, or is cut off from etcd; a lease has five, a claim six."""
    old_news: float = 0.1
    """How much of what etcd tells is seconds old when it is heard."""
    ponder: float = 0.2
    """How many seconds people think at most before they decide."""
    leaving: float = 0.05
    """How many calls are cancelled by their caller, at a random moment."""
    crashes: Sequence[int] = (0,)
    """How often the server of Redis dies and comes back without its last commands."""
    batches: Sequence[int] = (0, 0, 1)
    """How many batches are started by somebody who may leave and not come back."""


MIXED: Final = Weather()
ATTEMPTS: Final = Weather(
    shapes=("chain", "fan", "hurries", "begs"),
    agents=(2, 2, 3),
    faults=("stop agent", "stop agent", "stop agent", "cut off agent", "kill agent", "vanish"),
    many=(1, 2, 2, 3),
    luckless=0.5,
    slow=0.8,
    pauses=(6.5, 7.0, 7.5, 8.0),
)
"""Several attempts of a step at once."""
OWNERS: Final = Weather(
    shapes=("naps", "naps", "hurries", "asks", "fan", "family", "lives"),
    workflows=(1, 2, 3),
    nodes=(3, 3, 4),
    faults=("kill node", "kill node", "stop node", "stop node", "cut off node", "drain node", *OF_LINKS),
    many=(1, 2, 3, 4),
    slow=0.4,
    pauses=(4.0, 5.5, 7.0, 9.0),
    old_news=0.5,
)
"""Nodes that take from one another, and some who overslept it."""
RUNS: Final = Weather(
    shapes=("lives", "echoes", "chain", "fan", "naps"),
    duplicates=(0.2, 0.8),
    late=(0.3, 0.8),
    slow=0.1,
)
"""What comes again, and late: in the next run, or after the end."""
PEOPLE: Final = Weather(shapes=("asks", "begs", "stops", "hears", "echoes"), slow=0.3)
QUARRELS: Final = Weather(
    shapes=("lingers",),
    workflows=(4,),
    nodes=(2,),
    agents=(3,),
    faults=("stop agent",),
    many=(2,),
    reach=50,
    hopeless=0.5,
    slow=0.8,
    pauses=(8.0, 9.0, 10.0, 11.0),
    ponder=6.0,
)
"""Two people and an attempt that was given up end the same step, each in their own way."""
IMPATIENT: Final = Weather(
    shapes=("chain", "naps", "hears", "asks", "stops", "fan"),
    faults=("kill node", "stop node", "drain node", *OF_LINKS),
    many=(0, 0, 1, 2),
    leaving=0.6,
    batches=(1, 2, 2),
)
"""Callers who give up, whatever they ask for."""
BLAME: Final = Weather(
    shapes=("poisoned", "fan", "chain", "family", "hurries"),
    workflows=(2, 3, 4),
    agents=(2, 3, 4),
    faults=("kill agent", "stop agent", "kill node"),
    many=(0, 0, 1, 2, 4),
    slow=0.5,
    pauses=(6.5, 8.0, 9.0),
)
"""A task that ends its agents, beside some that do not, while agents die anyway."""
REPAIRS: Final = Weather(
    shapes=("errs", "errs", "errs", "chain"),
    workflows=(1, 2, 3),
    nodes=(2, 3, 3),
    faults=("kill node", "kill node", "stop node", "drain node", *OF_LINKS),
    many=(0, 1, 2, 3),
    leaving=0.2,
)
"""Code that is corrected under runs that it has blocked, which somebody has replayed or begins again."""
CRASHES: Final = Weather(
    shapes=("chain", "chain", "fan", "fan", "naps", "hears", "lives", "family", "hurries", "asks"),
    faults=("lose reply", "lose command", "cut links", "kill agent", "stop agent", "cut off agent"),
    many=(0, 0, 1, 2),
    crashes=(1, 1, 2, 3),
    late=(0.0,),
    old_news=0.0,
    leaving=0.2,
)
"""Redis forgets, and no node ends that knew. What only a node knew that ended, or gave it away, is lost (decision 0012)."""
CRASHES_SHARE: Final = 0.1
"""Of the schedules, whatever else they would have been."""
WEATHERS: Final = (
    *(MIXED, MIXED, ATTEMPTS, ATTEMPTS, OWNERS, OWNERS, RUNS, PEOPLE, QUARRELS, QUARRELS),
    *(IMPATIENT, IMPATIENT, BLAME, REPAIRS, REPAIRS),
)
