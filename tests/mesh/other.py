# SPDX-License-Identifier: Apache-2.0
"""Another team's code on the same mesh: a workflow that the nodes of `stories` do not have."""

from nervenet import Context, Mesh, Signal

mesh = Mesh("other")
go = Signal("go", str)


@mesh.workflow
async def elsewhere(ctx: Context, name: str) -> str:
    return f"{name} {await ctx.receive(go)}"
