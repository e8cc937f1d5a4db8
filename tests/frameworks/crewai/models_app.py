# SPDX-License-Identifier: Apache-2.0
"""What the processes of test_models_killed.py run: crews whose calls of models are tasks of their own, with tools that need several."""

from __future__ import annotations

import os

from nervenet.integrations.crewai import durable_crew  # isort: skip
from crewai import Agent, Crew, Process, Task  # isort: skip  # the integration comes first: it sets what CrewAI reads
from crewai.tools import tool  # isort: skip

from nervenet import Mesh
from tests.frameworks.crewai.app import MODEL, Draft
from tests.support.story import record

mesh = Mesh("models")


@tool("look_up")
def look_up(what: str) -> str:
    """Look something up."""
    record(f"look_up_{what}", f"pid {os.getpid()}")
    return f"{what}: found"


def agents() -> list[Agent]:
    return [
        Agent(role="Researcher", goal="Find facts about {topic}", backstory="A biologist.", llm=MODEL, tools=[look_up]),
        Agent(role="Analyst", goal="Find figures", backstory="A statistician.", llm=MODEL),
        Agent(role="Writer", goal="Write", backstory="A journalist.", llm=MODEL),
    ]


def tasks(researcher: Agent | None, analyst: Agent | None, writer: Agent | None) -> list[Task]:
    return [
        Task(name="facts", description="facts on {topic}", expected_output="A list.", agent=researcher),
        Task(name="figures", description="figures on {topic}", expected_output="A table.", agent=analyst),
        Task(
            name="draft", description="draft on {topic}", expected_output="JSON.", agent=writer, output_pydantic=Draft
        ),
        Task(name="check", description="check {topic}", expected_output="A verdict.", agent=analyst),
    ]


def sequential() -> Crew:
    crew = agents()
    return Crew(agents=crew, tasks=tasks(*crew))


def hierarchical() -> Crew:
    crew = agents()
    return Crew(agents=crew, tasks=tasks(None, None, None)[:2], process=Process.hierarchical, manager_llm=MODEL)


report_crew = durable_crew(mesh, sequential(), name="report", model_calls=True)
report = report_crew.workflow()
team_crew = durable_crew(mesh, hierarchical(), name="team", model_calls=True)
team = team_crew.workflow()
