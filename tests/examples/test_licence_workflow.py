# SPDX-License-Identifier: Apache-2.0
"""The audit's workflow in the test kit: no servers, and crashed after every entry."""

from __future__ import annotations

from examples.licence_audit.agents import classify, extract, summarize, validate
from examples.licence_audit.models import (
    Classification,
    Declared,
    Distribution,
    Facts,
    Holder,
    Summary,
    ValidationInput,
)
from examples.licence_audit.summarize import summarize as summarized
from examples.licence_audit.validate import validate as validated
from examples.licence_audit.workflow import licence_audit
from nervenet import Escalate
from nervenet.testing import WorkflowTest

MIT = Classification(found="MIT", confidence=0.99)
DOC = Distribution(name="alpha", version="1.0", declared=Declared(expression="MIT"))


def audit(found: Classification | Escalate) -> WorkflowTest:
    test = WorkflowTest()
    test.stub(classify, found if isinstance(found, Escalate) else lambda _: found)
    test.stub(extract, lambda _: Facts(holders=[Holder(name="Ada")]))
    test.stub(validate, lambda claim: validated(claim.declared, claim.found))
    test.stub(summarize, summarized)
    return test


def test_where_files_and_metadata_agree_nobody_is_asked() -> None:
    run = audit(MIT).run(licence_audit, DOC)
    assert run.result.verdict == "permissive" and run.result.decision == ""
    assert run.journal.names == ["start", "task:classify", "task:extract", "task:validate", "task:summarize", "close"]
    assert run.result.methods == dict.fromkeys(("classify", "extract", "validate", "summarize"), "rules")


def test_a_mismatch_waits_for_a_human_whose_word_decides() -> None:
    for answer, verdict in (
        ("trust the files", "weak copyleft"),
        ("trust the metadata", "permissive"),
        ("reject", "unknown"),
    ):
        test = audit(Classification(found="MPL-2.0", confidence=0.97))
        mismatch = validated(DOC.declared, "MPL-2.0").mismatch
        test.answer(f"alpha: {mismatch}. Which counts?", answer)
        run = test.run(licence_audit, DOC)
        assert run.result.verdict == verdict and run.result.decision == f"test decided: {answer}."
        assert "escalated:ask#1" in run.journal.names and run.result.mismatch == mismatch


def test_a_low_confidence_is_asked_by_the_agent_and_the_answer_goes_on_through_the_audit() -> None:
    question = "alpha: MPL-2.0 with confidence 0.42. Which is it?"
    test = audit(Escalate(question, suggestion=MIT))
    test.answer(question, MIT)
    run = test.run(licence_audit, DOC)
    assert run.result.found == "MIT" and run.result.verdict == "permissive"
    assert run.calls(validate) == [ValidationInput(declared=DOC.declared, found="MIT")]
    assert "decided:classify#1" in run.journal.names


def test_the_watchers_see_how_far_it_is() -> None:
    run = audit(MIT).run(licence_audit, DOC)
    assert run.view == {"stage": "summarize", "declared": "MIT", "found": "MIT", "confidence": 0.99}


def test_the_verdict_is_the_rules_even_when_a_model_writes_the_text() -> None:
    test = audit(MIT)
    test.stub(summarize, lambda _: Summary(text="Prose.", verdict="permissive", method="llm:tiny"))
    run = test.run(licence_audit, DOC)
    assert run.result.methods["summarize"] == "llm:tiny" and run.result.text == "Prose."
