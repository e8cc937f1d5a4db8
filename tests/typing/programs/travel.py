# SPDX-License-Identifier: Apache-2.0
from typing import TypedDict

from nervenet import AgentError, Mesh, Task

mesh = Mesh("travel-agents")


class Trip(TypedDict):
    who: str
    days: int


class CardDeclined(AgentError):
    pass


@mesh.agent
async def book_flight(trip: Trip) -> str:
    return "F1"


@mesh.agent
def book_car(trip: Trip) -> str:
    return "C1"


@mesh.agent
async def cancel_flight(trip: Trip) -> None: ...


@mesh.agent
async def cancel_car(trip: Trip) -> None: ...


@mesh.agent
async def charge(task: Task, trip: Trip) -> str:
    if trip["days"] > 30:
        raise CardDeclined(f"{task.idempotency_key}: too much", retryable=False)
    return "receipt"
