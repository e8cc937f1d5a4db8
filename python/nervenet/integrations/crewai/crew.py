# SPDX-License-Identifier: Apache-2.0
"""A crew on a mesh: its agents, and its workflow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from crewai import Crew
from crewai.crews.crew_output import CrewOutput

from nervenet import Agent, CallOptions, Context, Mesh, Workflow
from nervenet.integrations.capability_names import CapabilityNames
from nervenet.integrations.crewai.handler import TaskHandler
from nervenet.integrations.crewai.model_agent import MODEL_DEFAULTS, call_handler
from nervenet.integrations.crewai.model_calls import mesh_link
from nervenet.integrations.crewai.outputs import readable
from nervenet.integrations.crewai.plan import MODEL, plan
from nervenet.integrations.crewai.process import CrewRun
from nervenet.integrations.refusals import NotSupported, caller

__all__ = ["DurableCrew", "durable_crew"]

SLOTS = 10
"""Tasks that one agent process runs at the same time, of each agent, unless the user says otherwise."""


def durable_crew(
    mesh: Mesh,
    crew: Crew,
    *,
    name: str,
    options: Mapping[str, CallOptions] | None = None,
    slots: Mapping[str, int] | int = SLOTS,
    model_calls: bool = False,
) -> DurableCrew:
    """Make each agent of a crew an agent of the mesh, and give what runs the crew in a workflow.

        crew = durable_crew(mesh, Crew(agents=[…], tasks=[…]), name="report")
        report = crew.workflow()

    Each task of the crew is a task for the pool, of the capability `<name>-<role>`: it is tried again when it fails, and
    continues on another agent when its process dies. Order, context and outputs are in the workflow. A hierarchical crew has
    one capability for its tasks, `<name>-manager`.

    Args:
        mesh: The mesh that gets the agents.
        crew: The crew. It is copied for each task and never changed.
        name: Name of the crew in the mesh. Letters, digits, `_` and `-`, a letter first.
        options: Options of the calls of an agent, by role. A manager is `manager`, the agent that calls models is `model`.
        slots: Tasks that one agent process runs at the same time: of each agent, or of those that are named.
        model_calls: Whether each call of a model is a task of its own, of the capability `<name>-model`. If the process of a
            crew's task dies, the next attempt gets the answers that there are. The agents then need the setting `address`.

    Returns:
        The durable crew.

    Raises:
        NotSupported: The crew uses something that is not supported. The message names the line and the cure.
    """
    return DurableCrew(mesh, crew, name, dict(options or {}), slots, model_calls)


class DurableCrew:
    """A crew whose tasks run on agents and whose order is kept in workflows. Made by `durable_crew`.

    Attributes:
        name: Name of the crew in the mesh.
        agents: The agent of each role, or the one of the `manager`.
        model_agent: The agent that calls the models. None: without `model_calls=True`.
    """

    def __init__(
        self,
        mesh: Mesh,
        crew: Crew,
        name: str,
        options: Mapping[str, CallOptions],
        slots: Mapping[str, int] | int,
        model_calls: bool,
    ) -> None:
        self.name = name
        self._mesh, self._options = mesh, options
        self._plan = plan(crew, name, CapabilityNames(mesh), model_calls=model_calls)
        known = [*self._plan.capabilities, *([MODEL] if model_calls else [])]
        named: dict[str, list[str]] = {"options": [*options], "slots": [] if isinstance(slots, int) else [*slots]}
        for argument, roles in named.items():
            for role in roles:
                if role not in known:
                    raise NotSupported(
                        f"{caller()}: {argument}= names {role!r}, but the roles of crew {name!r} are: "
                        f"{', '.join(known)}"
                    )
        self.agents: dict[str, Agent[Any, Any]] = {}
        count = dict.fromkeys(known, slots) if isinstance(slots, int) else {**dict.fromkeys(known, SLOTS), **slots}
        self.model_agent = self._add_model_agent(count[MODEL]) if model_calls else None
        for role, capability in self._plan.capabilities.items():
            handler = TaskHandler(self._plan, role, self.model_agent).handler()
            lifespan = {} if self.model_agent is None else {"lifespan": mesh_link}
            self.agents[role] = cast("Any", mesh.agent)(name=capability, slots=count[role], **lifespan)(handler)

    def _add_model_agent(self, slots: int) -> Agent[Any, Any]:
        options = MODEL_DEFAULTS.merge(self._options.get(MODEL) or CallOptions())
        handler = call_handler(self._plan.crew, self.name)
        return self._mesh.agent(name=self._plan.model_capability, slots=slots, options=options)(handler)

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
