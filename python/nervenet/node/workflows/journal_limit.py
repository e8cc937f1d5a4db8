# SPDX-License-Identifier: Apache-2.0
"""The limit of a journal's length: its owner is warned first, then signals are refused, then the run must end."""

from __future__ import annotations

import logging
from typing import Final

_log = logging.getLogger(__name__)

LONG: Final = 0.8
"""The part of the limit at which the owner is warned."""
SIGNALS: Final = 0.9
"""The part of the limit from which signals are refused."""


def weigh_journal(workflow_id: str, entries: int, limit: int) -> str | None:
    """After an entry was folded: why this run must end, or None."""
    if entries >= limit:
        return (
            f"its journal has {entries} entries, the limit is {limit} (NERVENET_JOURNAL_LIMIT): "
            "begin a fresh one before that, with ctx.continue_as_new(...), or do less in one workflow"
        )
    if entries == int(limit * LONG):
        _log.warning(
            "%s: its journal has %d entries and must end at %d: ctx.continue_as_new(...) begins a fresh one",
            workflow_id,
            entries,
            limit,
        )
    return None
