# SPDX-License-Identifier: Apache-2.0
"""The service of Restate. Restate looks for the types of a handler at the top of its module."""

from __future__ import annotations

import restate
from comparing.work import STEPS, work

four = restate.Service("four")


async def step(text: str) -> str:
    """Hands back what it got."""
    await work("", text)
    return text


@four.handler()
async def run(ctx: restate.Context, text: str) -> str:
    for _ in range(STEPS["four"]):
        text = await ctx.run_typed("step", step, text=text)
    return text
