# SPDX-License-Identifier: Apache-2.0
"""The outside world of `saga`: an airline, a car rental and a bank that write into one ledger, TRAVEL_LEDGER."""

import os
from pathlib import Path
from typing import TypedDict

from nervenet import AgentError, Mesh, Task

mesh = Mesh("travel-agents")


class Trip(TypedDict):
    who: str
    days: int


class CardDeclined(AgentError):
    pass


@mesh.agent
async def book_flight(task: Task, trip: Trip) -> str:
    _enter(task, f"{trip['who']} flight booked")
    return "F1"


@mesh.agent
def book_car(task: Task, trip: Trip) -> str:
    _enter(task, f"{trip['who']} car booked")
    return "C1"


@mesh.agent
async def cancel_flight(task: Task, trip: Trip) -> None:
    _enter(task, f"{trip['who']} flight cancelled")


@mesh.agent
async def cancel_car(task: Task, trip: Trip) -> None:
    _enter(task, f"{trip['who']} car cancelled")


@mesh.agent
async def charge(task: Task, trip: Trip) -> str:
    if trip["days"] > 30:
        raise CardDeclined(f"{trip['days']} days are too much for this card", retryable=False)
    _enter(task, f"{trip['who']} charged")
    return "receipt"


def _enter(task: Task, words: str) -> None:
    """What has been entered under a key is not entered twice, however often a task is attempted."""
    ledger = Path(os.environ.get("TRAVEL_LEDGER", "travel.ledger"))
    line = f"{task.idempotency_key} {words}"
    if not ledger.exists() or line not in ledger.read_text().splitlines():
        with ledger.open("a", buffering=1) as file:
            file.write(f"{line}\n")
