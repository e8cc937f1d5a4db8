# SPDX-License-Identifier: Apache-2.0
"""A crew as the integration sees it: its agents with their capabilities, its tasks with their labels; and what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crewai import Process

from nervenet.integrations.capability_names import capability_name
from nervenet.integrations.refusals import NotSupported, caller

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from crewai import Crew, Task
    from crewai.agents.agent_builder.base_agent import BaseAgent

    from nervenet.integrations.capability_names import CapabilityNames

__all__ = ["Plan", "plan"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Plan:
    """A crew and its names in the mesh.

    Attributes:
        name: Name of the crew in the mesh.
        crew: The user's crew, which is never changed.
        labels: The label of each task, in their order: its name, or `task-3`.
        capabilities: The capability of each agent, by role.
        inputs: The placeholders of all texts, which a run must fill.
    """

    name: str
    crew: Crew
    labels: tuple[str, ...]
    capabilities: Mapping[str, str]
    inputs: frozenset[str]

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by label, in their order."""
        return dict(zip(self.labels, self.crew.tasks, strict=True))


def plan(crew: Crew, name: str, names: CapabilityNames) -> Plan:
    """Give the parts of a crew their names.

    Args:
        crew: The user's crew.
        name: Its name in the mesh.
        names: The names that the mesh has already.

    Raises:
        NotSupported: The crew uses something that is not supported. The message names the line and the cure.
    """
    if not _NAME.fullmatch(name):
        raise NotSupported(
            f"{caller()}: name={name!r}: use letters, digits, _ and -, a letter first, at most 63 of them"
        )
    _refuse(crew, name)
    labels = [task.name or f"task-{number}" for number, task in enumerate(crew.tasks, 1)]
    if twice := _twice(labels):
        raise NotSupported(f"{caller()}: two tasks of crew {name!r} have the name {twice!r}: rename one of them")
    agents = _agents(crew)
    if twice := _twice([agent.role for agent in agents]):
        raise NotSupported(
            f"{caller()}: two agents of crew {name!r} have the role {twice!r}, which names their capability: give them "
            "different roles"
        )
    cure = "change the role, or give the crew another name="
    capabilities = {
        role: names.take(_capability(name, role), f"the agent with the role {role!r}", f"crew {name!r}", cure)
        for role in (agent.role for agent in agents)
    }
    return Plan(name, crew, tuple(labels), capabilities, frozenset(crew.fetch_inputs()))


def _capability(crew: str, role: str) -> str:
    """The name for the agent with this role: `report-senior-writer`."""
    return capability_name(crew, role, re.sub(r"[^A-Za-z0-9_]+", "-", re.sub(r"\{.*?\}", "", role)).lower())


def _refuse(crew: Crew, name: str) -> None:
    where = f"{caller()}: crew {name!r}"
    if crew.process != Process.sequential:
        raise NotSupported(
            f"{where} has process={crew.process.value}, whose manager chooses the next agent while its own task runs: use "
            "Process.sequential, or call one durable crew for each choice from a workflow of yours"
        )
    if crew.planning:
        raise NotSupported(
            f"{where} has planning=True, which rewrites all tasks before the first one: leave it out, or make the plan "
            "the crew's first task"
        )
    if crew.memory or any(getattr(agent, "memory", None) for agent in _agents(crew)):
        raise NotSupported(
            f"{where} has memory, which CrewAI keeps in a folder of one machine, so that other agents do not see it: leave "
            "it out, and hand on what matters by the context of the tasks, or by a tool on a database"
        )
    if crew.before_kickoff_callbacks or crew.after_kickoff_callbacks:
        raise NotSupported(
            f"{where} has callbacks before or after kickoff, which would run once for each task: call these functions in "
            "a workflow of yours, around `await crew.kickoff(ctx, inputs)`"
        )
    for number, task in enumerate(crew.tasks, 1):
        if task.agent is None:
            raise NotSupported(f"{where}: task {task.name or number!r} has no agent: give it one, Task(…, agent=…)")


def _agents(crew: Crew) -> list[BaseAgent]:
    """The agents of the crew and of its tasks, each once."""
    found: list[BaseAgent] = []
    for agent in [*crew.agents, *(task.agent for task in crew.tasks)]:
        if agent is not None and all(agent is not other for other in found):
            found.append(agent)
    return found


def _twice(names: Collection[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
