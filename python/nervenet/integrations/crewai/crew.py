# SPDX-License-Identifier: Apache-2.0
"""A crew on a mesh: its agents, and its workflow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from crewai import Crew
from crewai.crews.crew_output import CrewOutput

from nervenet import Agent, CallOptions, Context, Mesh, Workflow
from nervenet.integrations.capability_names import CapabilityNames
from nervenet.integrations.crewai.handler import TaskHandler
from nervenet.integrations.crewai.outputs import readable
from nervenet.integrations.crewai.plan import plan
from nervenet.integrations.crewai.process import CrewRun
from nervenet.integrations.refusals import NotSupported, caller

__all__ = ["DurableCrew", "durable_crew"]

SLOTS = 10
"""Tasks that one agent process runs at the same time, of each role, unless the user says otherwise."""


def durable_crew(
    mesh: Mesh,
    crew: Crew,
    *,
    name: str,
    options: Mapping[str, CallOptions] | None = None,
    slots: Mapping[str, int] | int = SLOTS,
) -> DurableCrew:
    """Make each agent of a crew an agent of the mesh, and give what runs the crew in a workflow.

        crew = durable_crew(mesh, Crew(agents=[…], tasks=[…]), name="report")
        report = crew.workflow()

    Each task of the crew is a task for the pool, of the capability `<name>-<role>`: it is tried again when it fails, and
    continues on another agent when its process dies. Order, context and outputs are in the workflow.

    Args:
        mesh: The mesh that gets the agents.
        crew: A crew with a sequential process. It is copied for each task and never changed.
        name: Name of the crew in the mesh. Letters, digits, `_` and `-`, a letter first.
        options: Options of the calls of an agent, by role.
        slots: Tasks that one agent process runs at the same time: of each role, or of the roles that are named.

    Returns:
        The durable crew.

    Raises:
        NotSupported: The crew uses something that is not supported. The message names the line and the cure.
    """
    return DurableCrew(mesh, crew, name, dict(options or {}), slots)


class DurableCrew:
    """A crew whose tasks run on agents and whose order is kept in workflows. Made by `durable_crew`.

    Attributes:
        name: Name of the crew in the mesh.
        agents: The agent of each role.
    """

    def __init__(
        self,
        mesh: Mesh,
        crew: Crew,
        name: str,
        options: Mapping[str, CallOptions],
        slots: Mapping[str, int] | int,
    ) -> None:
        self.name = name
        self._mesh, self._options = mesh, options
        self._plan = plan(crew, name, CapabilityNames(mesh))
        named: dict[str, list[str]] = {"options": [*options], "slots": [] if isinstance(slots, int) else [*slots]}
        for argument, roles in named.items():
            for role in roles:
                if role not in self._plan.capabilities:
                    raise NotSupported(
                        f"{caller()}: {argument}= names {role!r}, but the roles of crew {name!r} are: "
                        f"{', '.join(self._plan.capabilities)}"
                    )
        self.agents: dict[str, Agent[Any, Any]] = {}
        for role, capability in self._plan.capabilities.items():
            count = slots if isinstance(slots, int) else slots.get(role, SLOTS)
            handler = TaskHandler(self._plan, role).handler()
            self.agents[role] = mesh.agent(name=capability, slots=count)(handler)

    def __repr__(self) -> str:
        return f"<DurableCrew {self.name} of {', '.join(self.agents)}>"

    async def kickoff(self, ctx: Context, inputs: Mapping[str, Any] | None = None, /) -> CrewOutput:
        """Run the crew in the workflow that `ctx` belongs to.

        Args:
            ctx: The first parameter of the workflow.
            inputs: What fills the placeholders in the texts of agents and tasks. Values are JSON.

        Returns:
            The output, as `Crew.kickoff` returns it. Its `messages` are empty.

        Raises:
            CallFailed: A task failed for good.
            NotSupported: A placeholder has no value.
        """
        return await CrewRun(self._plan, self.agents, self._options, ctx, inputs or {}).run()

    def workflow(self, *, name: str | None = None, version: int = 1, variable: str | None = None) -> Workflow[Any, Any]:
        """A workflow that runs the crew once: `report = crew.workflow()`.

        It takes the inputs as JSON and returns `raw`, `pydantic`, `json_dict`, `tasks_output` and `token_usage` as JSON.

        Args:
            name: Name of the workflow. Default: the name of the crew.
            version: Version of the workflow.
            variable: The variable at the top of your module that holds the workflow, if it is not its name. The replay
                check looks for it there.
        """

        async def run(ctx: Context, inputs: dict[str, Any] | None) -> dict[str, Any]:
            """Run the crew once."""
            return readable(await self.kickoff(ctx, inputs))

        chosen = name or self.name
        frame = inspect.currentframe()
        while frame is not None and frame.f_globals.get("__package__") == __package__:
            frame = frame.f_back
        if frame is not None:  # other processes find the workflow in the user's module
            run.__module__, run.__qualname__ = frame.f_globals.get("__name__", __name__), variable or chosen
        made: Workflow[Any, Any] = self._mesh.workflow(name=chosen, version=version)(run)
        return made
