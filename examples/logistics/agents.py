# SPDX-License-Identifier: Apache-2.0
"""The four steps as agents. Any process may serve any of them: `nervenet agent … --only route,estimate,check`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from nervenet import AgentError, CallOptions, Mesh, RetryPolicy, Task

from .models import Decision, Estimate, Finding, Message, Order, Position, Update
from .network import shortest_way
from .services import Services, order_table, services

mesh = Mesh("logistics")

CARRIER_PATIENCE_S: Final = 1.0
LATE_HOURS: Final = 12.0
HANDLING_HOURS: Final = {"picked up": 8.0, "in transit": 4.0, "at hub": 6.0, "out for delivery": 0.0, "delivered": 0.0}
EXCEPTIONS: Final = {
    "damaged": "the parcel is damaged",
    "refused": "the customer has refused the parcel",
    "held by customs": "customs holds the parcel",
}
PATIENT: Final = CallOptions(retry=RetryPolicy(max_attempts=6, initial_interval=timedelta(milliseconds=200)))


class UnknownShipment(AgentError):
    """There is no order with this tracking number."""


class BrokenUpdate(AgentError):
    """The update cannot be read."""


class CarrierTimeout(AgentError):
    """The carrier has not answered. Another attempt may help."""


@mesh.agent(slots=500, lifespan=order_table)
async def route(task: Task[dict[str, Order]], update: Update) -> Position:
    """Find the order, and the shortest way from where the shipment is to the customer."""
    if update.status not in HANDLING_HOURS and update.status not in EXCEPTIONS:
        raise BrokenUpdate(f"there is no status {update.status!r}", retryable=False)
    try:
        time = datetime.fromisoformat(update.time)
    except ValueError as error:
        raise BrokenUpdate(f"time: {error}", retryable=False) from None
    order = task.resource.get(update.tracking)
    if order is None:
        raise UnknownShipment(f"there is no order with the tracking number {update.tracking}", retryable=False)
    try:
        way = shortest_way(update.place, order.destination)
    except KeyError as error:
        raise BrokenUpdate(f"there is no place {error}", retryable=False) from None
    return Position(
        update.id, order, update.carrier, update.status, update.place, time.astimezone(UTC), list(way.via), way.hours
    )


@mesh.agent(slots=500, lifespan=services, options=PATIENT)
async def estimate(task: Task[Services], position: Position) -> Estimate:
    """Ask the carrier how late its lorries are, and compute when the shipment arrives."""
    try:
        async with asyncio.timeout(CARRIER_PATIENCE_S):
            delay = await task.resource.ask(
                "delay", task.idempotency_key, update=position.update, carrier=position.carrier
            )
    except TimeoutError:
        raise CarrierTimeout(f"{position.carrier} has not answered within {CARRIER_PATIENCE_S} s") from None
    hours = position.hours + HANDLING_HOURS.get(position.status, 24.0)
    arrival = position.time + timedelta(hours=hours, minutes=delay)
    if arrival.weekday() == 6:  # nobody delivers on a Sunday
        arrival = (arrival + timedelta(days=1)).replace(hour=8, minute=0)
    return Estimate(position, arrival, delay)


@mesh.agent(slots=500)
async def check(estimate: Estimate) -> Finding:
    """Compare with what was promised, and decide whether a person is needed."""
    position = estimate.position
    late = max(0.0, (estimate.arrival - position.order.promised).total_seconds() / 3600)
    if position.status in EXCEPTIONS:
        return Finding(late, EXCEPTIONS[position.status], needs_person=True)
    return Finding(late, f"{late:.0f} hours late" if late > LATE_HOURS else "", needs_person=False)


@mesh.agent(slots=500, lifespan=services, options=PATIENT)
async def notify(task: Task[Services], message: Message) -> str:
    """Send a message to the customer and return its receipt. The key makes the service send it once, however often it is asked."""
    receipt = await task.resource.ask(
        "send", task.idempotency_key, update=message.update, customer=message.customer, text=message.text
    )
    return str(receipt)


def text_for(estimate: Estimate, finding: Finding, decision: Decision | None) -> str:
    """The message, in plain words."""
    position = estimate.position
    what = f"Your parcel {position.order.tracking}"
    if decision is Decision.REPLACE:
        return f"{what}: {finding.words}. We send you another one today."
    if decision is Decision.REFUND:
        return f"{what}: {finding.words}. You get your money back."
    if position.status == "delivered":
        return f"{what} was delivered in {position.place}."
    when = f"{estimate.arrival:%A, %d %B, %H:%M}"
    return f"{what} is in {position.place} and arrives on {when}." + (
        f" Sorry: {finding.words}." if finding.words else ""
    )
