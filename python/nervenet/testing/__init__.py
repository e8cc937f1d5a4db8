# SPDX-License-Identifier: Apache-2.0
"""The test kit: a workflow in an ordinary test function, without servers and without waiting.

    def test_a_week_of_silence_rejects() -> None:
        t = WorkflowTest()
        t.stub(extract, [AgentError("busy"), Facts(holders=["Ada"])])     # the first attempt fails, the second answers
        t.stub(validate, lambda doc: ["no licence file"], takes=timedelta(seconds=40))
        run = t.run(review, Doc(name="a", text="…"))
        assert run.result.text.startswith("rejected") and run.elapsed >= timedelta(days=7)

A handler alone: `await run_agent(greet, "Ada")`, or `AgentTest(attempt=2, checkpoint=…)`. A whole mesh: the pytest fixture
`mesh_client` (see `plugin`).

Time skips to the next event. After every entry the workflow is dropped and rebuilt from its journal, as after a crash,
and must ask for the same things: code that is not deterministic fails the test, which names the line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervenet.testing.agents import AgentRun as AgentRun
    from nervenet.testing.agents import AgentTest as AgentTest
    from nervenet.testing.agents import run_agent as run_agent
    from nervenet.testing.data import declared as declared
    from nervenet.testing.journal import Journal as Journal
    from nervenet.testing.journal import replay as replay
    from nervenet.testing.kit import Run as Run
    from nervenet.testing.kit import Script as Script
    from nervenet.testing.kit import WorkflowTest as WorkflowTest

__all__ = ["AgentRun", "AgentTest", "Journal", "Run", "Script", "WorkflowTest", "declared", "replay", "run_agent"]

_HOMES = {"agents": ("AgentRun", "AgentTest", "run_agent"), "data": ("declared",), "journal": ("Journal", "replay")}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # the pytest plugin lives here too, and must not cost anybody who does not use it

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'nervenet.testing' has no attribute {name!r}")
        value = getattr(import_module(f"nervenet.testing.{_HOME_OF.get(name, 'kit')}"), name)
        globals()[name] = value
        return value
