# SPDX-License-Identifier: Apache-2.0
"""LangGraph on nervenet: a graph as a durable workflow, or its checkpoints in Redis. Needs `pip install 'nervenet[langgraph]'`.

    graph = durable_graph(mesh, builder.compile(), name="desk")     # each node a capability of the mesh, no checkpointer

    @mesh.workflow
    async def desk(ctx: Context, question: str) -> str:
        state = await graph.ainvoke(ctx, {"messages": [("user", question)]})
        return state["messages"][-1].content

    with NervenetSaver.from_url("redis://localhost:6379") as saver:  # without a mesh
        graph = builder.compile(checkpointer=saver)

Each name is loaded at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nervenet.integrations.refusals import Framework

if TYPE_CHECKING:
    from nervenet.integrations.langgraph.conversation import Conversation as Conversation
    from nervenet.integrations.langgraph.conversation import Reply as Reply
    from nervenet.integrations.langgraph.conversation import ThreadEnded as ThreadEnded
    from nervenet.integrations.langgraph.conversation import TurnNotStarted as TurnNotStarted
    from nervenet.integrations.langgraph.conversation import TurnRejected as TurnRejected
    from nervenet.integrations.langgraph.graph import DurableGraph as DurableGraph
    from nervenet.integrations.langgraph.graph import durable_graph as durable_graph
    from nervenet.integrations.langgraph.run import Outcome as Outcome
    from nervenet.integrations.langgraph.saver.checkpointer import CheckpointsUnavailable as CheckpointsUnavailable
    from nervenet.integrations.langgraph.saver.checkpointer import NervenetSaver as NervenetSaver
    from nervenet.integrations.langgraph.steps import GraphStep as GraphStep
    from nervenet.integrations.refusals import NotEncodable as NotEncodable
    from nervenet.integrations.refusals import NotSupported as NotSupported
    from nervenet.integrations.refusals import UnsupportedVersion as UnsupportedVersion

__all__ = [
    "CheckpointsUnavailable",
    "Conversation",
    "DurableGraph",
    "GraphStep",
    "NervenetSaver",
    "NotEncodable",
    "NotSupported",
    "Outcome",
    "Reply",
    "ThreadEnded",
    "TurnNotStarted",
    "TurnRejected",
    "UnsupportedVersion",
    "durable_graph",
]

LANGGRAPH = Framework("LangGraph", "langgraph", "langgraph", "langgraph", lowest=(1, 0, 10), below=(2,))
_HOME_OF = {
    "CheckpointsUnavailable": ".saver.checkpointer",
    "Conversation": ".conversation",
    "DurableGraph": ".graph",
    "GraphStep": ".steps",
    "NervenetSaver": ".saver.checkpointer",
    "NotEncodable": "..refusals",
    "NotSupported": "..refusals",
    "Outcome": ".run",
    "Reply": ".conversation",
    "ThreadEnded": ".conversation",
    "TurnNotStarted": ".conversation",
    "TurnRejected": ".conversation",
    "UnsupportedVersion": "..refusals",
    "durable_graph": ".graph",
}

if not TYPE_CHECKING:  # or checkers would take any misspelt name

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        LANGGRAPH.require()
        value = getattr(import_module(home, __name__), name)
        globals()[name] = value  # the next use does not come here
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
