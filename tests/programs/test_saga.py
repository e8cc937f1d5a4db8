# SPDX-License-Identifier: Apache-2.0
"""A trip is booked, paid or taken back in reverse order, whichever process is killed between the bookings and the bill."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.world import PROGRAMS, WITHIN, agent, kill, kill_the_owner_of, two_nodes
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

PAID = ["flight booked", "car booked", "charged"]
UNDONE = ["flight booked", "car booked", "car cancelled", "flight cancelled"]


@pytest.mark.parametrize("victim", ["node", pytest.param("agent", marks=pytest.mark.long)])
async def test_saga_with_a_kill_between_the_bookings_and_the_bill(
    host: ProcessMesh, tmp_path: Path, victim: str
) -> None:
    ledger = tmp_path / "ledger"

    def entries(who: str) -> list[str]:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [words for _, name, words in (line.split(" ", 2) for line in lines) if name == who]

    def office(name: str) -> NervenetProcess:
        return agent(
            host, "travel", name, "--only", "book_flight,book_car,cancel_flight,cancel_car", TRAVEL_LEDGER=str(ledger)
        )

    def bank(name: str) -> NervenetProcess:
        return agent(host, "travel", name, "--only", "charge", TRAVEL_LEDGER=str(ledger))

    two_nodes(host, "saga")
    (first,) = host.up(office("office"))
    async with host.client() as client:
        runs = [
            await client.start("book", {"who": "Ada", "days": 3}, id="ada"),
            await client.start("book", {"who": "Grace", "days": 31}, id="grace"),
        ]
        await until(lambda: entries("Ada") == entries("Grace") == PAID[:2], "both are booked", WITHIN, host)
        if victim == "node":
            await kill_the_owner_of(runs[0], host)
            host.up(bank("bank"))
        else:
            kill(first)
            host.up(bank("bank"), office("new-office"))
        assert [await run.result(timeout=WITHIN) for run in runs] == ["receipt", "declined"]
        assert (entries("Ada"), entries("Grace")) == (PAID, UNDONE)

        if victim == "node":
            host.up(host.node(f"{PROGRAMS}/saga.py"))
        assert await client.run("book", {"who": "Lin", "days": 3}, id="lin") == "receipt"
        assert await client.run("book", {"who": "Mary", "days": 31}, id="mary") == "declined"
        assert (entries("Lin"), entries("Mary")) == (PAID, UNDONE), "left in peace"
