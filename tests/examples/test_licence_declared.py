# SPDX-License-Identifier: Apache-2.0
"""The audit as data against the audit as code: the same calls, the same results, crashed after every entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from examples.licence_audit.agents import classify, extract, summarize, validate
from examples.licence_audit.models import Classification, Declared, Distribution, Facts, Holder
from examples.licence_audit.summarize import summarize as summarized
from examples.licence_audit.validate import validate as validated
from examples.licence_audit.workflow import licence_audit
from nervenet import Escalate
from nervenet.testing import WorkflowTest, declared

DATA = YAML(typ="safe").load((Path(__file__).parents[2] / "examples/licence_audit/audit.yaml").read_text("utf-8"))
DOC = Distribution(name="alpha", version="1.0", declared=Declared(expression="MIT"))


def audit(found: Classification | Escalate) -> WorkflowTest:
    test = WorkflowTest()
    test.stub(classify, found if isinstance(found, Escalate) else lambda _: found)
    test.stub(extract, lambda _: Facts(holders=[Holder(name="Ada", years="1815")]))
    test.stub(validate, lambda claim: validated(claim.declared, claim.found))
    test.stub(summarize, summarized)
    return test


MPL = Classification(found="MPL-2.0", confidence=0.97)
QUESTION = f"alpha: {validated(DOC.declared, 'MPL-2.0').mismatch}. Which counts?"
UNSURE = Escalate("Which is it?", suggestion=MPL)


@pytest.mark.parametrize(
    ("found", "answers"),
    [
        (Classification(found="MIT", confidence=0.99), {}),
        (MPL, {QUESTION: "trust the files"}),
        (MPL, {QUESTION: "trust the metadata"}),
        (MPL, {QUESTION: "reject"}),
        (UNSURE, {"Which is it?": MPL, QUESTION: "trust the files"}),
    ],
)
def test_data_and_code_come_to_the_same(found: Classification | Escalate, answers: dict[str, Any]) -> None:
    runs = []
    for flow, given in ((licence_audit, DOC), (declared(DATA), DOC.model_dump(mode="json"))):
        test = audit(found)
        for question, answer in answers.items():
            test.answer(question, answer)
        runs.append(test.run(flow, given))
    code, data = runs
    assert data.result == code.result.model_dump(mode="json")
    assert data.journal.names == code.journal.names
    assert data.view == code.view
    for agent in (classify, extract, validate, summarize):
        assert data.calls(agent) == code.calls(agent)
