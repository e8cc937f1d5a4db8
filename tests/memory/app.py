# SPDX-License-Identifier: Apache-2.0
"""Workflows that hold a large input while they wait for a word."""

from __future__ import annotations

from typing import Any

from nervenet import Context, Mesh, Signal

mesh = Mesh("memory")
go = Signal("go", str)


@mesh.workflow
async def parked(ctx: Context, document: Any) -> int:
    await ctx.receive(go)
    return len(document)
