# SPDX-License-Identifier: Apache-2.0
"""What travels between the steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass
class Update:
    """What a carrier sends: text as it arrived, nothing is checked yet."""

    id: str
    tracking: str
    carrier: str
    status: str
    place: str
    time: str


@dataclass
class Order:
    """What the shop knows about a shipment."""

    tracking: str
    customer: str
    destination: str
    promised: datetime


@dataclass
class Position:
    """Where a shipment is, and the way that it still has to go."""

    update: str
    order: Order
    carrier: str
    status: str
    place: str
    time: datetime
    via: list[str]
    hours: float


@dataclass
class Estimate:
    """When a shipment arrives."""

    position: Position
    arrival: datetime
    delay_minutes: int


@dataclass
class Finding:
    """What is wrong with a shipment, in words; and whether a person must decide what follows."""

    late_hours: float
    words: str
    needs_person: bool


class Decision(Enum):
    """What a person decides about an exception."""

    WAIT = "wait"
    REPLACE = "replace"
    REFUND = "refund"


@dataclass
class Message:
    """What the customer gets."""

    update: str
    customer: str
    text: str


@dataclass
class Outcome:
    """How an update ended. Only a notified customer has a receipt."""

    update: str
    end: str
    receipt: str = ""
    arrival: datetime | None = None
    decision: Decision | None = None


NOTIFIED, UNKNOWN_SHIPMENT, BROKEN_UPDATE = "notified", "unknown shipment", "broken update"
