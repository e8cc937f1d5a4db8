# SPDX-License-Identifier: Apache-2.0
"""How many agents a node asks to go elsewhere, so that they spread over the nodes by themselves. Pure.

Connections last for as long as they may, so a node that comes later would get none of those that are there. Whoever has
clearly more than its share sends a few on, to the node that has fewest, and looks again a moment later.

    excess(1000, [0])  →  50
    excess(30, [20])   →  0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

TOLERATED: Final = 1.25
"""Of a fair share, so that nothing goes to and fro."""
FEW: Final = 4
"""More than the tolerated share: small meshes are not worth the trouble."""
AT_ONCE: Final = 0.05
"""Of a node's agents, each time."""


def excess(mine: int, others: Sequence[int]) -> int:
    """`others`: how many agents each of the other nodes has that take some."""
    if not others:
        return 0
    fair = (mine + sum(others)) / (1 + len(others))
    if mine <= fair * TOLERATED + FEW:
        return 0
    return min(int(mine - fair), max(1, round(mine * AT_ONCE)))
