# SPDX-License-Identifier: Apache-2.0
"""A crew as the integration sees it: its agents with their capabilities, its tasks with their labels; and what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crewai import Process

from nervenet.integrations.capability_names import capability_name
from nervenet.integrations.crewai.model_agent import llms_of
from nervenet.integrations.refusals import NotSupported, caller

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from crewai import Crew, Task
    from crewai.agents.agent_builder.base_agent import BaseAgent

    from nervenet.integrations.capability_names import CapabilityNames

__all__ = ["MANAGER", "MODEL", "Plan", "plan"]

MANAGER = "manager"
"""The name of a hierarchical crew's manager in `options=` and `slots=`, and the end of its capability."""
MODEL = "model"
"""The same for the agent that calls the models."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Plan:
    """A crew and its names in the mesh.

    Attributes:
        name: Name of the crew in the mesh.
        crew: The user's crew, which is never changed.
        labels: The label of each task, in their order: its name, or `task-3`.
        capabilities: The capability of each agent, by role; of a hierarchical crew that of its manager alone, as `manager`.
        model_capability: The capability that calls the models. None: the tasks of the crew call them themselves.
        inputs: The placeholders of all texts, which a run must fill.
    """

    name: str
    crew: Crew
    labels: tuple[str, ...]
    capabilities: Mapping[str, str]
    model_capability: str | None
    inputs: frozenset[str]

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by label, in their order."""
        return dict(zip(self.labels, self.crew.tasks, strict=True))

    def performer(self, task: Task) -> str:
        """The role whose capability runs a task: that of its agent, or `manager`."""
        if self.crew.process == Process.hierarchical:
            return MANAGER
        assert task.agent is not None
        return task.agent.role


def plan(crew: Crew, name: str, names: CapabilityNames, *, model_calls: bool = False) -> Plan:
    """Give the parts of a crew their names.

    Args:
        crew: The user's crew.
        name: Its name in the mesh.
        names: The names that the mesh has already.
        model_calls: Whether calls of models are tasks.

    Raises:
        NotSupported: The crew uses something that is not supported. The message names the line and the cure.
    """
    if not _NAME.fullmatch(name):
        raise NotSupported(
            f"{caller()}: name={name!r}: use letters, digits, _ and -, a letter first, at most 63 of them"
        )
    _refuse(crew, name)
    if model_calls:
        _refuse_chains(crew, name)
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
    roles = [MANAGER] if crew.process == Process.hierarchical else [agent.role for agent in agents]
    capabilities = {
        role: names.take(_capability(name, role), f"the agent with the role {role!r}", f"crew {name!r}", cure)
        for role in roles
    }
    model = (
        names.take(f"{name}-{MODEL}", "the agent that calls the models", f"crew {name!r}", cure)
        if model_calls
        else None
    )
    return Plan(name, crew, tuple(labels), capabilities, model, frozenset(crew.fetch_inputs()))


def _capability(crew: str, role: str) -> str:
    """The name for the agent with this role: `report-senior-writer`."""
    return capability_name(crew, role, re.sub(r"[^A-Za-z0-9_]+", "-", re.sub(r"\{.*?\}", "", role)).lower())


def _refuse(crew: Crew, name: str) -> None:
    where = f"{caller()}: crew {name!r}"
    if crew.manager_agent is not None and crew.manager_agent.tools:
        raise NotSupported(
            f"{where} has a manager_agent with tools, which CrewAI refuses: give the tools to the other agents"
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
        if task.agent is None and crew.process != Process.hierarchical:
            raise NotSupported(f"{where}: task {task.name or number!r} has no agent: give it one, Task(…, agent=…)")


def _refuse_chains(crew: Crew, name: str) -> None:
    """A model that continues its last answer by an id of the provider keeps this id in one process."""
    for (owner, _), (_, llm) in llms_of(crew).items():
        for option in ("auto_chain", "auto_chain_reasoning"):
            if getattr(llm, option, False):
                raise NotSupported(
                    f"{caller()}: crew {name!r} has model_calls=True, and the model {llm.model!r} of {owner!r} has {option}=True, "
                    f"which continues the last answer of the same process: leave out {option}, or model_calls"
                )


def _agents(crew: Crew) -> list[BaseAgent]:
    """The agents of the crew and of its tasks, each once."""
    found: list[BaseAgent] = []
    for agent in [*crew.agents, *(task.agent for task in crew.tasks), crew.manager_agent]:
        if agent is not None and all(agent is not other for other in found):
            found.append(agent)
    return found


def _twice(names: Collection[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
