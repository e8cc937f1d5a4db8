# SPDX-License-Identifier: Apache-2.0
"""Every graph of these tests with an input, the people's answers, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nervenet import Workflow
from nervenet.integrations.langgraph import DurableGraph
from nervenet.testing import Run
from tests.frameworks.langgraph import agents, graphs
from tests.frameworks.langgraph.kit import Answers, scripted


@dataclass(frozen=True)
class Case:
    """One graph.

    Attributes:
        graph: The graph.
        workflow: The workflow that runs it.
        input: Makes a new input.
        answers: What people say.
        context: Its runtime context.
        config: Its config.
    """

    graph: DurableGraph
    workflow: Workflow[Any, Any]
    input: Callable[[], Any] = dict
    answers: Answers = field(default_factory=dict)
    context: Any = None
    config: Any = None

    def run(self, **options: Any) -> Run[Any]:
        """In the test kit."""
        graphs.TRIES.clear()
        given = self.graph.encode(self.input(), context=self.context, config=self.config)
        return scripted(self.graph, self.answers, **options).run(self.workflow, given)


def _case(name: str, module: Any = graphs, **options: Any) -> Case:
    return Case(module.GRAPHS[name], getattr(module, name), **options)


CASES: dict[str, Case] = {
    "loop": _case("loop"),
    "parallel": _case("parallel"),
    "map_reduce": _case("map_reduce"),
    "command": _case("command"),
    "asking": _case(
        "asking",
        answers={"left?": [("L", 50)], "right?": [("R", 5)], "first?": [("x", 1)], "second?": [("y", 1)]},
    ),
    "gated": _case("gated", answers={"Run count?": [("continue", 1)], "Go on after done?": [("continue", 1)]}),
    "outer": _case("outer", answers={"inner?": [("A", 1), ("B", 2), ("C", 3)]}),
    "talking": _case("talking", input=lambda: {"messages": [("user", "hi")]}),
    "retrying": _case("retrying"),
    "typed": _case(
        "typed",
        input=lambda: {"name": "n"},
        context=graphs.Who("ana", ["admin"]),
        config={"configurable": {"desk": "d7"}},
    ),
    "tree": _case("tree", input=lambda: graphs.Tree("a", ("x",))),
    "react": _case("react", module=agents, input=agents.question, context=agents.User("ana")),
    "plan": _case("plan", module=agents, input=lambda: {"goal": "tea"}),
    "approved": _case(
        "approved",
        module=agents,
        input=agents.question,
        context=agents.User("ana"),
        answers={agents.APPROVAL: [({"decisions": [{"type": "approve"}]}, 60)]},
    ),
}
if "handled" in agents.GRAPHS:
    CASES["handled"] = _case("handled", module=agents)


def workflow(name: str) -> Workflow[Any, Any]:
    """The workflow of a case."""
    return CASES[name].workflow
