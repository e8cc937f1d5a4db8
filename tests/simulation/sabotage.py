# SPDX-License-Identifier: Apache-2.0
"""Laws to break, each in one script of the simulated Redis: the checker has to notice every one of them.

They live here, never in the product: a script with another text, in the place of the real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.store import Store


def _in(name: str, old: str, new: str) -> Callable[[Store], None]:
    return lambda store: store.sabotage(name, old, new)


SABOTAGES: Final[dict[str, Callable[[Store], None]]] = {
    "write once": _in("journal_append", "if there then", "if false then"),
    "owner check": _in("journal_append", "by ~= '' and by ~= owner", "false"),
    "run fencing": _in("journal_append", "run ~= ARGV[1]", "false"),
    "run fencing of claims": _in("task_claim", "h[1] ~= ARGV[1] or h[2]", "false"),
    "a run begins once": _in("workflow_renew", "run ~= ARGV[1]", "false"),
    "closed is closed": _in("journal_append", "elseif h[2] then", "elseif false then"),
    "closed once": _in("workflow_close", "elseif h[2] then", "elseif false then"),
    "no attempt after its outcome": _in("journal_append", "h[8] or h[9]", "h[8]"),
    "ownership is compared": _in("workflow_adopt", "value('owner') ~= ARGV[2]", "false"),
    "decided once": _in("decision_append", "elseif h[7] then", "elseif false then"),
    "no decision after the outcome": _in("decision_append", "elseif h[8] then", "elseif false then"),
    "a claim is exclusive": _in("task_claim", "n == attempt and who ~= agent", "false"),
}
