# SPDX-License-Identifier: Apache-2.0
"""A briefing about a supplier: a CrewAI crew of three agents and four tasks reads records and figures, weighs them, and writes a page.

Try it:

    pip install 'nervenet[crewai]'
    export OPENAI_API_KEY=… MODEL=openai/gpt-4o-mini      # or OPENAI_BASE_URL of any compatible endpoint
    nervenet dev supplier_briefing_crewai.py
    python supplier_briefing_crewai.py briefing-1 "Nordic Bearings"

Kill any process meanwhile: no request to the model that has ended is made again, because `model_calls=True` makes each one a task
of its own. `nervenet show briefing-1` has the tasks of the crew, `nervenet list` those of the model too.
"""

import asyncio
import os
import sys

from nervenet.integrations.crewai import durable_crew  # isort: skip  # before CrewAI: it sets what CrewAI reads
from crewai import Agent, Crew, Task
from crewai.tools import tool
from pydantic import BaseModel

from nervenet import Client, Mesh

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")


class Verdict(BaseModel):
    """What purchasing reads first."""

    keep: bool
    reason: str


@tool("order_history")
def order_history(supplier: str) -> str:
    """The orders of the last two years from a supplier."""
    return f"{supplier}: 48 orders, 3 late, 1 wrong part"


@tool("price_history")
def price_history(supplier: str) -> str:
    """The prices of a supplier, against those of the market."""
    return f"{supplier}: 4 % above the market since March, 2 % below before"


clerk = Agent(
    role="Purchasing clerk",
    goal="Know how reliable {supplier} is",
    backstory="You keep the orders of a factory.",
    llm=MODEL,
    tools=[order_history],
)
controller = Agent(
    role="Controller",
    goal="Know what {supplier} costs",
    backstory="You compare prices.",
    llm=MODEL,
    tools=[price_history],
)
editor = Agent(role="Editor", goal="Write briefings that are short", backstory="You write for managers.", llm=MODEL)

reliability = Task(
    name="reliability",
    description="Say how reliable {supplier} is, from its orders.",
    expected_output="Two sentences.",
    agent=clerk,
    async_execution=True,
)
prices = Task(
    name="prices",
    description="Say what {supplier} costs, against the market.",
    expected_output="Two sentences.",
    agent=controller,
    async_execution=True,
)
verdict = Task(
    name="verdict",
    description="Decide whether we keep {supplier}.",
    expected_output="A decision with its reason.",
    agent=controller,
    context=[reliability, prices],
    output_pydantic=Verdict,
)
page = Task(
    name="page",
    description="Write the briefing about {supplier}.",
    expected_output="One page.",
    agent=editor,
    context=[reliability, prices, verdict],
)

mesh = Mesh("purchasing")
crew = durable_crew(
    mesh,
    Crew(agents=[clerk, controller, editor], tasks=[reliability, prices, verdict, page]),
    name="briefing",
    model_calls=True,
    slots={"model": 8},
)
briefing = crew.workflow()


async def main(id: str, supplier: str) -> None:
    """Start a briefing, and print it."""
    async with Client() as client:
        run = await client.start(briefing, {"supplier": supplier}, id=id)
        result = await run.result()
        print(result["raw"])
        print(
            f"{result['token_usage']['successful_requests']} requests, {result['token_usage']['total_tokens']} tokens"
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
