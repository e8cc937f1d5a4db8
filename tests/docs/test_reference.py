# SPDX-License-Identifier: Apache-2.0
"""The defaults that docstrings name are those of the product.

The reference is made of the docstrings. `make lint` checks that its committed pages are fresh and complete.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from nervenet.options import DEFAULTS, RetryPolicy, Timeouts


def documented(options: type, name: str) -> str:
    """The default of a field, as its docstring has it."""
    entry = re.search(rf"^ +{name}: (.+?)(?=^ +\w+: |^$)", options.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert entry is not None
    return " ".join(entry[1].split()).rpartition("Default: ")[2].rstrip(".")


def seconds(ms: int) -> str:
    return f"{timedelta(milliseconds=ms).total_seconds():g} s"


@pytest.mark.parametrize(
    ("options", "name", "default"),
    [
        (RetryPolicy, "max_attempts", DEFAULTS.max_attempts),
        (RetryPolicy, "initial_interval", seconds(DEFAULTS.initial_ms)),
        (RetryPolicy, "max_interval", seconds(DEFAULTS.max_ms)),
        (RetryPolicy, "multiplier", DEFAULTS.multiplier),
        (RetryPolicy, "jitter", DEFAULTS.jitter),
        (RetryPolicy, "avoid_failed_agents", DEFAULTS.avoid_failed_agents),
        (RetryPolicy, "on_exhausted", '`"escalate"`' if DEFAULTS.escalate else '`"fail"`'),
        (RetryPolicy, "on_agent_loss", '`"escalate"`' if DEFAULTS.escalate_loss else '`"fail"`'),
        (Timeouts, "accept", seconds(DEFAULTS.accept_ms or 0)),
        (Timeouts, "attempt", "no limit" if DEFAULTS.attempt_ms is None else DEFAULTS.attempt_ms),
    ],
)
def test_the_documented_defaults_are_those_of_the_product(options: type, name: str, default: Any) -> None:
    assert documented(options, name) == str(default)
