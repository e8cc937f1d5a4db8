# SPDX-License-Identifier: Apache-2.0
"""Time, identities and chance: the only module that asks the operating system for them.

Code that needs the time takes a `Clock`, and code that invents names takes a source of random bytes, so that tests (and the
replay machine, which has neither) decide both. Ids are short enough to be read aloud: eight base32 characters are 40
random bits, which is one collision in a million among 1,500 processes alive at once; workflow ids are UUIDv7
(RFC 9562), which sort by their time and can be made by clients that never talk to each other.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from typing import Final, TypeAlias

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many random bytes; `os.urandom` outside tests."""


class Clock:
    """The machine's clock. Tests pass a subclass that stands still until it is moved."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def now_ns(self) -> int:
        """The same in nanoseconds: for spans, which are shorter than a millisecond."""
        return time.time_ns()

    monotonic = staticmethod(time.monotonic)  # asked for every task: no call in Python around it
    """Seconds that never go back: for deadlines and durations within one process."""


SYSTEM = Clock()


_VARIANT: Final = {digit: "89ab"[number & 3] for number, digit in enumerate("0123456789abcdef")}
"""The digit of a UUID whose first two bits are 10, for a random one."""


def new_id(prefix: str, entropy: Entropy = os.urandom) -> str:
    """`<prefix>-` and eight base32 characters: `new_id("n")` names a node, `new_id("summarize")` an agent."""
    return f"{prefix}-{base64.b32encode(entropy(5)).decode().lower()}"


def uuid7(now_ms: int, entropy: Entropy = os.urandom) -> str:
    """A UUIDv7 as text: 48 bits of milliseconds, then 74 random bits. Without a `uuid.UUID`, which costs more than all the rest."""
    time_, random = f"{now_ms & (1 << 48) - 1:012x}", entropy(10).hex()
    return f"{time_[:8]}-{time_[8:]}-7{random[:3]}-{_VARIANT[random[3]]}{random[4:7]}-{random[7:19]}"


def new_workflow_id(definition: str, clock: Clock = SYSTEM, entropy: Entropy = os.urandom) -> str:
    """`review-0190…`: the id of a workflow that was started without one."""
    return f"{definition}-{uuid7(clock.now_ms(), entropy)}"
