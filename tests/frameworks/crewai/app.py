# SPDX-License-Identifier: Apache-2.0
"""What the processes of test_killed.py run: a crew of three agents and four tasks, and a flow, both asking a model over HTTP."""

from __future__ import annotations

import os
import re
from typing import Any

from nervenet.integrations.crewai import durable_crew  # isort: skip
from crewai import Agent, Crew, Process, Task  # isort: skip  # the integration comes first: it sets what CrewAI reads
from crewai.hooks import register_before_llm_call_hook  # isort: skip
from pydantic import BaseModel

from nervenet import Context, Mesh
from nervenet import Task as Attempt
from tests.frameworks.crewai.flows import travel
from tests.support.story import record

mesh = Mesh("crew")
MODEL = "openai/gpt-4o-mini"


class Draft(BaseModel):
    title: str
    text: str


def note(context: Any) -> None:
    """Write down which task asks the model, and in which process."""
    found = re.search(r"Current Task: (.*)", str(context.messages[-1]["content"]))
    if found:
        record(found[1].split("\\n")[0].strip().replace(" ", "_"), f"pid {os.getpid()}")


register_before_llm_call_hook(note)


def make_crew() -> Crew:
    researcher = Agent(role="Researcher", goal="Find facts about {topic}", backstory="A biologist.", llm=MODEL)
    analyst = Agent(role="Analyst", goal="Find figures", backstory="A statistician.", llm=MODEL)
    writer = Agent(role="Senior Writer", goal="Write", backstory="A journalist.", llm=MODEL)
    facts = Task(name="facts", description="facts on {topic}", expected_output="A list.", agent=researcher)
    figures = Task(
        name="figures",
        description="figures on {topic}",
        expected_output="A table.",
        agent=analyst,
        async_execution=True,
    )
    draft = Task(
        name="draft",
        description="draft on {topic}",
        expected_output="JSON.",
        agent=writer,
        context=[facts, figures],
        output_pydantic=Draft,
    )
    check = Task(name="check", description="check {topic}", expected_output="A verdict.", agent=researcher)
    return Crew(agents=[researcher, analyst, writer], tasks=[facts, figures, draft, check])


def make_led_crew() -> Crew:
    """One whose manager has all tasks and chooses who does them."""
    researcher = Agent(role="Researcher", goal="Find facts", backstory="A biologist.", llm=MODEL)
    analyst = Agent(role="Analyst", goal="Find figures", backstory="A statistician.", llm=MODEL)
    lead = Task(name="lead", description="lead {topic}", expected_output="A list.")
    figures = Task(name="figures", description="figures on {topic}", expected_output="A table.", agent=analyst)
    return Crew(agents=[researcher, analyst], tasks=[lead, figures], process=Process.hierarchical, manager_llm=MODEL)


crew = durable_crew(mesh, make_crew(), name="report")
report = crew.workflow()
led_crew = durable_crew(mesh, make_led_crew(), name="led")
led = led_crew.workflow()


def workflow(name: str) -> Any:
    """The workflow of a journal (`tests.frameworks.journals`)."""
    return mesh.workflows[name, 1]


@mesh.agent
def travel_agent(task: Attempt, city: str) -> str:
    """Run the flow; the next attempt goes on from its last state."""
    return travel(task.idempotency_key, city)


@mesh.workflow
async def trip(ctx: Context, city: str) -> str:
    return await ctx.call(travel_agent, city)
