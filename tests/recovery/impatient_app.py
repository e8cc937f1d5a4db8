# SPDX-License-Identifier: Apache-2.0
"""What the mesh of `impatient` runs: a workflow of one step, and one that waits for a signal."""

from __future__ import annotations

from nervenet import Context, Mesh, Signal

mesh = Mesh("impatient-app")
go = Signal("go", int)


@mesh.agent(slots=200)
async def nod(n: int) -> int:
    return n


@mesh.workflow
async def brief(ctx: Context, n: int) -> int:
    return await ctx.call(nod, n)


@mesh.workflow
async def waiting(ctx: Context, n: int) -> int:
    return n + await ctx.receive(go)
