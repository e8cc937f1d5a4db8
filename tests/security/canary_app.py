# SPDX-License-Identifier: Apache-2.0
"""What the mesh with the canaries runs: workflows that end, fail, wait and ask, with a secret in what they carry."""

from __future__ import annotations

from typing import Any

from nervenet import CallOptions, Context, Mesh, RetryPolicy, Signal, Task

mesh = Mesh("canary")
go = Signal[str]("go", str)
ONCE = CallOptions(retry=RetryPolicy(max_attempts=1))


@mesh.agent(slots=10)
async def carry(task: Task, job: dict[str, Any]) -> dict[str, Any]:
    task.emit(job["secret"])
    task.checkpoint(job)
    return job


@mesh.agent(slots=10)
async def fail(job: dict[str, Any]) -> None:
    raise ValueError(f"canary failed: {job['fails']}")


@mesh.workflow
async def ends(ctx: Context, job: dict[str, Any]) -> dict[str, Any]:
    ctx.publish(job)
    return await ctx.call(carry, job)


@mesh.workflow
async def fails(ctx: Context, job: dict[str, Any]) -> None:
    await ctx.call(fail, job, options=ONCE)


@mesh.workflow
async def waits(ctx: Context, job: dict[str, Any]) -> str:
    await ctx.receive(go)
    return await ctx.receive(go)


@mesh.workflow
async def asks(ctx: Context, job: dict[str, Any]) -> str:
    return str((await ctx.ask("Which?", choices=["yes", "no"])).value)
