# SPDX-License-Identifier: Apache-2.0
from datetime import timedelta

from contracts import Doc, Facts, Summary, Verdict
from documents import extract, review, summarize, validate
from pages import Page, Text
from scans import digitise, ocr

from nervenet import AgentError
from nervenet.testing import AgentTest, Journal, WorkflowTest, replay


def test_week_of_silence_rejects() -> None:  # runs in about a millisecond; no server, no event loop of your own
    t = WorkflowTest()  # crash_everywhere=True: after every entry the machine is dropped, rebuilt and compared
    t.stub(extract, [AgentError("busy"), Facts(holders=["Ada"])])  # first attempt fails, second answers
    t.stub(validate, lambda doc: ["no licence file"], takes=timedelta(seconds=40))
    run = t.run(review, Doc(name="a", text="…"))
    assert run.result.text.startswith("rejected by deadline") and run.elapsed >= timedelta(days=7)
    assert run.journal.names == [
        "start",
        "attempt:extract#1",
        "task:extract",
        "task:validate",
        "escalated:ask#1",
        "decided:ask#1",
        "task:ask",
        "close",
    ]


def test_human_says_yes() -> None:
    t = WorkflowTest(seed=7)
    t.stub(extract, lambda doc: Facts(holders=[doc.name]))
    t.stub(validate, lambda doc: ["odd"])
    t.stub(summarize, lambda facts: Summary(text="ok"))
    t.answer("Accept in spite of these?", Verdict.YES, after=timedelta(hours=3))
    t.run(review, Doc(name="a", text="…")).journal.dump("tests/journals/review-yes.json")  # a golden journal


def test_one_bad_page_does_not_stop_the_rest() -> None:
    t = WorkflowTest()
    t.stub(ocr, [AgentError("torn", retryable=False), *(Text(n, []) for n in range(499))])
    assert t.run(digitise, [Page(n, 1) for n in range(500)]).result == {"read": 499, "failed": 1}


def test_old_journals_still_replay() -> None:
    replay(review, Journal.load("tests/journals/review-yes.json"))  # AssertionError with the two columns of a BLOCKED


async def test_agent_alone() -> None:
    run = await AgentTest(attempt=2, checkpoint=["line 1"]).run(ocr, Page(1, 3))
    assert run.result.lines[0] == "line 1" and run.checkpoints
