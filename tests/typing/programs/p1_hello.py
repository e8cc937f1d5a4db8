# SPDX-License-Identifier: Apache-2.0
import asyncio

from nervenet import Context, Mesh

mesh = Mesh("hello")  # run it: nervenet dev hello.py, then: nervenet start welcome '["Ada", "Grace"]' --wait


@mesh.agent(slots=8)
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.workflow
async def welcome(ctx: Context, names: list[str]) -> list[str]:
    return await asyncio.gather(*(ctx.call(greet, n) for n in names))
