# SPDX-License-Identifier: Apache-2.0
"""The test kit: a workflow in an ordinary test function, without servers and without waiting.

    def test_a_week_of_silence_rejects() -> None:
        t = WorkflowTest()
        t.stub(extract, [AgentError("busy"), Facts(holders=["Ada"])])     # the first attempt fails, the second answers
        t.stub(validate, lambda doc: ["no licence file"], takes=timedelta(seconds=40))
        run = t.run(review, Doc(name="a", text="…"))
        assert run.result.text.startswith("rejected") and run.elapsed >= timedelta(days=7)

Time skips to whatever comes next. After every entry the workflow is dropped and rebuilt from its journal, as by a
crash, and must want the same as before: code that is not deterministic fails the test with its line.
"""

from nervenet.testing.journal import Journal, replay
from nervenet.testing.kit import Run, Script, WorkflowTest

__all__ = ["Journal", "Run", "Script", "WorkflowTest", "replay"]
