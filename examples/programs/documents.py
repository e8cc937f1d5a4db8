# SPDX-License-Identifier: Apache-2.0
"""Steps side by side in other processes, and a human who is asked when one of them finds something.

Try it:

    nervenet dev documents.py
    NERVENET_REDIS=redis://localhost:PORT nervenet agent readers.py     # with the port of valkey that dev tells
    nervenet start review '{"name": "letter", "text": "(c) 1843 Ada"}' --wait
    nervenet escalations list
    nervenet escalations resolve ID --answer yes
"""

import asyncio
from datetime import timedelta

from contracts import Doc, Facts, Summary, Verdict

from nervenet import Agent, CallOptions, Context, Mesh, RetryPolicy, Timeouts

mesh = Mesh("documents")
# Served elsewhere, in any language that speaks the contract; here by readers.py.
extract = Agent.remote("extract", Doc, Facts)
validate = Agent.remote("validate", Doc, list[str])
summarize = Agent.remote("summarize", Facts, Summary)
CAREFUL = CallOptions(retry=RetryPolicy(on_exhausted="escalate"), timeouts=Timeouts(attempt=timedelta(minutes=2)))


@mesh.workflow
async def review(ctx: Context, doc: Doc) -> Summary:
    async with asyncio.TaskGroup() as group:
        facts = group.create_task(ctx.call(extract, doc, options=CAREFUL))
        problems = group.create_task(ctx.call(validate, doc))
    if found := problems.result():
        say = await ctx.ask("Accept in spite of these?", answer=Verdict, context=found, default=Verdict.NO,
                            deadline=timedelta(days=7))  # fmt: skip
        if say.value is Verdict.NO:
            return Summary(text=f"rejected by {say.resolver}: {say.comment}")
    return await ctx.call(summarize, facts.result())
