# SPDX-License-Identifier: Apache-2.0
"""Two names, two tasks at once, one list.

Try it:

    nervenet dev hello.py
    nervenet start welcome '["Ada", "Grace"]' --wait
"""

import asyncio

from nervenet import Context, Mesh

mesh = Mesh("hello")


@mesh.agent(slots=8)
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.workflow
async def welcome(ctx: Context, names: list[str]) -> list[str]:
    return await asyncio.gather(*(ctx.call(greet, n) for n in names))
