# SPDX-License-Identifier: Apache-2.0
"""Pydantic AI on nervenet: an agent whose loop is a durable workflow. Needs `pip install 'nervenet[pydantic-ai]'`.

    desk = durable_agent(mesh, agent, name="desk")

    @mesh.workflow
    async def answer(ctx: Context, question: str) -> str:
        result = await desk.run(ctx, question)
        return result.output

Requests to the model and calls of tools become capabilities that any agent of the mesh can run: `desk-model`, `desk-tools`, and one
for each toolset. The loop of the agent, its hooks and its retries stay Pydantic AI's own and run in the workflow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nervenet.integrations.pydantic_ai.refusals import PYDANTIC_AI

if TYPE_CHECKING:
    from nervenet.integrations.pydantic_ai.agent import DurableAgent as DurableAgent
    from nervenet.integrations.pydantic_ai.agent import durable_agent as durable_agent
    from nervenet.integrations.refusals import NotEncodable as NotEncodable
    from nervenet.integrations.refusals import NotSupported as NotSupported
    from nervenet.integrations.refusals import UnsupportedVersion as UnsupportedVersion

_HOMES = {
    "DurableAgent": ".agent",
    "NotEncodable": "..refusals",
    "NotSupported": "..refusals",
    "UnsupportedVersion": "..refusals",
    "durable_agent": ".agent",
}
__all__ = ["DurableAgent", "NotEncodable", "NotSupported", "UnsupportedVersion", "durable_agent"]

if not TYPE_CHECKING:  # nothing is imported unless it is used

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        PYDANTIC_AI.require()  # before the import of what needs it
        value = getattr(import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value
