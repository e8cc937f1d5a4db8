# SPDX-License-Identifier: Apache-2.0
"""A model that talks to itself until it is sure, on a budget; its words are seen as they come.

Try it:

    export OPENAI_BASE_URL=http://localhost:11434/v1 OPENAI_MODEL=qwen3
    nervenet dev llm.py
    python llm.py ticket-1 "Why is the sky blue?"
"""

import asyncio
import sys

from chat import Chat, Turn, open_chat

from nervenet import Client, Context, Mesh, Task

mesh = Mesh("llm")


@mesh.agent(slots=4, lifespan=open_chat)  # opened once in each agent process that serves `think`
async def think(task: Task[Chat], turns: list[Turn]) -> Turn:
    async for token in (stream := task.resource.stream(turns)):
        task.emit(token)  # watchers see it now; the returned value is what counts
    task.usage(stream.model, input_tokens=stream.tokens_in, output_tokens=stream.tokens_out)
    return Turn("assistant", stream.text)


@mesh.workflow
async def research(ctx: Context, question: str) -> str:
    turns = [Turn("user", question)]
    while ctx.usage.total < 50_000 and "FINAL:" not in turns[-1].text:
        turns.append(await ctx.call(think, turns))
    return turns[-1].text


async def follow(client: Client, ticket: str, question: str) -> None:
    async for part in (await client.start(research, question, id=ticket)).partials(think, str):
        print("\n[again] " * part.restarted + part.value, end="", flush=True)


async def main(ticket: str, question: str) -> None:
    async with Client() as client:
        await follow(client, ticket, question)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
