# SPDX-License-Identifier: Apache-2.0
"""Signals and a helper that workflows of another module use."""

from nervenet import Context, Signal

urgent = Signal("urgent", str)
elsewhere = Signal("elsewhere", str)
unused = Signal("unused", str)


async def wait(ctx: Context) -> str:
    return await ctx.receive(elsewhere)
