# SPDX-License-Identifier: Apache-2.0
"""Every line marked E must be an error in both checkers, and no other line may be."""

from types_ok import TD, Db, In, approve, batch, extract, flow, greet, mesh, mood, tick, with_db

from nervenet import CallOptions, Client, Context, Task, WorkflowHandle


async def wf(ctx: Context, client: Client, h: WorkflowHandle[int]) -> None:
    await ctx.call(greet, 5)  # E wrong input
    await ctx.call(greet)  # E input missing
    await ctx.call(greet, "a", "b")  # E too many
    await ctx.call(tick, 5)  # E takes no input
    await ctx.call(with_db, {"b": 1})  # E wrong key
    await ctx.call(extract, {"x": 1})  # E dict instead of model
    await ctx.call(greet, 5, options=CallOptions())  # E
    await greet("Ada")  # E an agent is not callable
    x: int = await ctx.call(greet, "a")  # E result is str
    await h.signal(approve, True)  # E
    await h.signal(mood, "meh")  # E
    await ctx.receive("approve")  # E a name is not a Signal
    await client.start(flow, "Ada")  # E
    await client.start(flow, "Ada", id="x")  # E
    await ctx.map(greet, [1, 2])  # E
    await ctx.call(batch, [In(x=1)])  # E
    print(x)


@mesh.agent(lifespan=lambda: None)  # E not a context manager
async def bad_lifespan(task: Task[Db], td: TD) -> str:
    return ""


@mesh.agent  # E two payloads
async def two(a: str, b: str) -> str:
    return ""


@mesh.workflow  # E a workflow is async
def sync_workflow(ctx: Context, a: str) -> str:
    return ""


@mesh.workflow  # E first parameter is the Context
async def no_context(a: str) -> str:
    return ""
