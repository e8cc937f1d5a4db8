# SPDX-License-Identifier: Apache-2.0
"""The four capabilities as agents. Any process may serve any of them: `nervenet agent … --only classify --slots 2`."""

from __future__ import annotations

from nervenet import Escalate, Mesh, Task

from . import classify as classifying
from . import extract as extracting
from . import llm
from . import summarize as summarizing
from . import validate as validating
from .effects import recorded
from .models import Classification, Distribution, Facts, Summary, SummaryInput, Validation, ValidationInput

mesh = Mesh("licence_audit")


@mesh.agent(run="process", slots=2)
def classify(task: Task, distribution: Distribution) -> Classification:
    """Which licences the shipped texts really are, with a confidence; asks a human below 0.8."""
    with recorded(task):
        found = classifying.classify(distribution)
        if found.confidence < classifying.LIKELY:
            raise Escalate(
                f"{distribution.name}: {found.found or 'no licence text'} with confidence {found.confidence:.2f}. Which is it?",
                suggestion=found,
                context=found,
            )
        return found


@mesh.agent(slots=4)
def extract(task: Task, distribution: Distribution) -> Facts:
    """Copyright holders and years, what is permitted, required and forbidden, patent and notice clauses."""
    with recorded(task):
        return extracting.extract(distribution)


@mesh.agent(slots=4)
def validate(task: Task, claim: ValidationInput) -> Validation:
    """What was found against what the metadata declares; names the mismatch."""
    with recorded(task):
        return validating.validate(claim.declared, claim.found)


@mesh.agent(slots=4)
def summarize(task: Task, audit: SummaryInput) -> Summary:
    """One paragraph and a verdict: permissive, weak copyleft, strong copyleft or unknown."""
    with recorded(task):
        summary = summarizing.summarize(audit)
        if not (endpoint := llm.configured()):
            return summary
        reply = llm.write(endpoint, audit.model_dump_json())
        task.usage(endpoint.model, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
        return summary.model_copy(update={"text": reply.text, "method": f"llm:{endpoint.model}"})
