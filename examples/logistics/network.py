# SPDX-License-Identifier: Apache-2.0
"""The roads between the places, and the shortest way."""

from __future__ import annotations

import heapq
from functools import lru_cache
from typing import Final, NamedTuple

HOURS: Final = {
    ("Lisbon", "Madrid"): 7.0,
    ("Madrid", "Barcelona"): 6.5,
    ("Madrid", "Bordeaux"): 7.5,
    ("Barcelona", "Lyon"): 6.5,
    ("Bordeaux", "Paris"): 6.0,
    ("Lyon", "Paris"): 5.0,
    ("Lyon", "Zurich"): 4.5,
    ("Lyon", "Milan"): 5.0,
    ("Paris", "Brussels"): 3.5,
    ("Brussels", "Rotterdam"): 2.0,
    ("Brussels", "Cologne"): 2.5,
    ("Rotterdam", "Hamburg"): 5.5,
    ("Cologne", "Hamburg"): 4.5,
    ("Cologne", "Frankfurt"): 2.0,
    ("Frankfurt", "Munich"): 4.5,
    ("Frankfurt", "Leipzig"): 4.0,
    ("Zurich", "Munich"): 3.5,
    ("Zurich", "Milan"): 3.5,
    ("Munich", "Vienna"): 4.5,
    ("Munich", "Prague"): 4.5,
    ("Leipzig", "Berlin"): 2.0,
    ("Leipzig", "Prague"): 3.0,
    ("Hamburg", "Berlin"): 3.0,
    ("Hamburg", "Copenhagen"): 5.0,
    ("Copenhagen", "Stockholm"): 7.0,
    ("Berlin", "Warsaw"): 6.0,
    ("Prague", "Vienna"): 4.0,
    ("Vienna", "Budapest"): 3.0,
    ("Warsaw", "Budapest"): 8.5,
    ("Milan", "Rome"): 6.0,
}
PLACES: Final = sorted({place for road in HOURS for place in road})


class Way(NamedTuple):
    via: tuple[str, ...]
    hours: float


def _neighbours() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {place: {} for place in PLACES}
    for (one, other), hours in HOURS.items():
        found[one][other] = found[other][one] = hours
    return found


NEIGHBOURS: Final = _neighbours()


@lru_cache
def shortest_way(start: str, end: str) -> Way:
    """Dijkstra's algorithm. Raises KeyError if there is no such place."""
    NEIGHBOURS[start], NEIGHBOURS[end]
    heap: list[tuple[float, str, tuple[str, ...]]] = [(0.0, start, ())]
    seen: set[str] = set()
    while True:  # all places are connected
        hours, place, via = heapq.heappop(heap)
        if place == end:
            return Way(via[1:], hours)
        if place not in seen:
            seen.add(place)
            for neighbour, more in NEIGHBOURS[place].items():
                heapq.heappush(heap, (hours + more, neighbour, (*via, place)))
