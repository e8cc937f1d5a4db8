# SPDX-License-Identifier: Apache-2.0
"""Orders and shipment updates from a seed: the same seed makes the same files.

    python -m examples.logistics.generate --updates 50000 --seed 1 --folder build/logistics

Writes orders.jsonl, updates.jsonl (a day), hour.jsonl (the busiest hour of a day with more updates) and faults.jsonl. One update in a hundred
has a fault: the shipment is unknown, the data is broken, the carrier does not answer the first request, or a person must decide. faults.jsonl
names them. The mesh never reads it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from .agents import EXCEPTIONS
from .models import BROKEN_UPDATE, NOTIFIED, UNKNOWN_SHIPMENT, Order, Update
from .network import PLACES

DAY: Final = datetime(2026, 3, 4, tzinfo=UTC)
CURVE: Final = (1, 1, 1, 1, 2, 3, 5, 7, 9, 11, 12, 11, 9, 8, 8, 8, 8, 7, 6, 4, 3, 2, 2, 1)
"""How busy each hour of the day is, in parts."""
BUSIEST: Final = CURVE.index(max(CURVE))
FAULT_SHARE: Final = 0.01
UNKNOWN, BROKEN, SILENT, PERSON = "unknown shipment", "broken data", "carrier silent", "person"
FAULTS: Final = (UNKNOWN, BROKEN, SILENT, PERSON)
ENDS: Final = {UNKNOWN: UNKNOWN_SHIPMENT, BROKEN: BROKEN_UPDATE, SILENT: NOTIFIED, PERSON: NOTIFIED, "": NOTIFIED}
CARRIERS: Final = ("Blue Van", "Northline", "Parcel & Sons", "Rhine Freight", "Swift Post")
STATUSES: Final = ("picked up", "in transit", "in transit", "at hub", "out for delivery", "delivered")
UPDATES_PER_SHIPMENT: Final = 4


@dataclass(frozen=True)
class Planned:
    """An update, what is wrong with it, and how many seconds after the beginning of its day or hour it arrives."""

    update: Update
    fault: str
    at_s: float

    @property
    def end(self) -> str:
        """How its workflow must end."""
        return ENDS[self.fault]


@dataclass(frozen=True)
class Shipments:
    """All that a run needs."""

    orders: Sequence[Order]
    day: Sequence[Planned]
    hour: Sequence[Planned]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "orders.jsonl", ({**asdict(one), "promised": one.promised.isoformat()} for one in self.orders))
        _write(folder / "updates.jsonl", (asdict(one.update) for one in self.day))
        _write(folder / "hour.jsonl", (asdict(one.update) for one in self.hour))
        faults = ({"update": one.update.id, "fault": one.fault} for one in (*self.day, *self.hour) if one.fault)
        _write(folder / "faults.jsonl", faults)


def generate(updates: int, seed: int, times: float = 1.0) -> Shipments:
    """A day with this many updates, and the busiest hour of a day with `times` as many."""
    dice = random.Random(seed)
    orders = [_order(dice, number) for number in range(max(1, updates // UPDATES_PER_SHIPMENT))]
    day = _planned(dice, orders, "day", [_moment(dice) for _ in range(updates)])
    share = CURVE[BUSIEST] / sum(CURVE)
    moments = [_moment(dice, BUSIEST) for _ in range(max(1, round(updates * times * share)))]
    hour = _planned(dice, orders, "hour", moments)
    return Shipments(orders, day, hour)


def _order(dice: random.Random, number: int) -> Order:
    promised = DAY + timedelta(days=dice.randint(1, 3), hours=18)
    tracking = f"NV{number:07}{dice.randrange(10, 100)}"
    return Order(tracking, f"customer-{dice.randrange(10**6):06}", dice.choice(PLACES), promised)


def _moment(dice: random.Random, hour: int | None = None) -> float:
    """A second of the day. Within an hour the curve goes straight from its middle to that of the next hour."""
    highest = max(CURVE)
    while True:
        at = dice.uniform(0, 24) if hour is None else dice.uniform(hour, hour + 1)
        left = int(at - 0.5) if at >= 0.5 else -1
        share = at - 0.5 - left
        height = CURVE[left] * (1 - share) + CURVE[(left + 1) % 24] * share
        if dice.uniform(0, highest) < height:
            return at * 3600


def _planned(dice: random.Random, orders: Sequence[Order], name: str, moments: Sequence[float]) -> list[Planned]:
    faults = _faults(dice, len(moments))
    first = 0.0 if name == "day" else BUSIEST * 3600.0
    return [
        Planned(_update(dice, f"{name}-{number:06}", dice.choice(orders), at, faults.get(number, "")), faults.get(number, ""), at - first)
        for number, at in enumerate(sorted(moments))
    ]  # fmt: skip


def _faults(dice: random.Random, updates: int) -> dict[int, str]:
    """Exactly one in a hundred, and at least one of each kind if there are that many updates."""
    count = min(updates, max(len(FAULTS), round(updates * FAULT_SHARE)))
    return {number: FAULTS[i % len(FAULTS)] for i, number in enumerate(dice.sample(range(updates), count))}


def _update(dice: random.Random, id: str, order: Order, at_s: float, fault: str) -> Update:
    time = (DAY + timedelta(seconds=round(at_s))).isoformat()
    good = Update(id, order.tracking, dice.choice(CARRIERS), dice.choice(STATUSES), dice.choice(PLACES), time)
    if good.status == "delivered":
        good.place = order.destination
    if fault == UNKNOWN:
        good.tracking = f"XX{dice.randrange(10**9):09}"
    elif fault == PERSON:
        good.status = dice.choice(list(EXCEPTIONS))
    elif fault == BROKEN:
        field, value = dice.choice((("status", "?"), ("status", ""), ("place", "Atlantis"), ("time", "yesterday")))
        setattr(good, field, value)
    return good


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a file."""
    with Path(path).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def read_orders(path: str | Path) -> dict[str, Order]:
    """The orders by tracking number."""
    rows = ({**row, "promised": datetime.fromisoformat(row["promised"])} for row in read(path))
    return {row["tracking"]: Order(**row) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=float, default=10.0, help="how many times as busy the day of the hour is")
    parser.add_argument("--folder", type=Path, default=Path("build/logistics"))
    options = parser.parse_args()
    made = generate(options.updates, options.seed, options.times)
    made.write(options.folder)
    print(
        f"{len(made.orders)} orders, {len(made.day)} updates of a day and {len(made.hour)} of an hour in {options.folder}"
    )


if __name__ == "__main__":
    main()
