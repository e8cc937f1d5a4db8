# SPDX-License-Identifier: Apache-2.0
"""What travels between the agents: plain data that is the same JSON from Python, grpcurl and the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["licence", "notice", "enclosed"]
Verdict = Literal["permissive", "weak copyleft", "strong copyleft", "unknown"]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class LicenceFile(Model):
    """A text that a distribution ships; `size` is its full length when `truncated`.

    "enclosed": it lies among the licences, but its name does not say that it is one (some ship their changelog there).
    """

    path: str
    text: str
    kind: Kind = "licence"
    size: int = 0
    truncated: bool = False


class Declared(Model):
    """What the metadata says, word for word."""

    expression: str = ""
    licence: str = ""
    classifiers: list[str] = []


class Distribution(Model):
    """One installed distribution: the input of the whole workflow."""

    name: str
    version: str = ""
    declared: Declared = Declared()
    files: list[LicenceFile] = []
    omitted: int = 0
    """Licence files beyond what one payload should carry."""


class FileMatch(Model):
    path: str
    found: list[str]
    confidence: float


class Classification(Model):
    found: str
    """An SPDX expression: every licence whose text was recognised, joined by AND; empty when there is none."""
    confidence: float
    files: list[FileMatch] = []
    method: str = "rules"


class Holder(Model):
    name: str
    years: str = ""


class Clause(Model):
    label: str
    quote: str


class Facts(Model):
    holders: list[Holder] = []
    permits: list[Clause] = []
    requires: list[Clause] = []
    forbids: list[Clause] = []
    patents: list[str] = []
    notices: list[str] = []
    method: str = "rules"


class Validation(Model):
    declared: str
    source: str
    """Where the declaration stands: License-Expression, License, Classifier, or nowhere."""
    agrees: bool
    judged: str = ""
    """What is judged where they agree: a declared expression, which says whether AND or OR joins its licences, else what
    was found."""
    mismatch: str = ""
    method: str = "rules"


class ValidationInput(Model):
    declared: Declared
    found: str


class Dispute(Model):
    """What a human needs before deciding whether the files or the metadata count."""

    validation: Validation
    classification: Classification
    holders: list[Holder]


class SummaryInput(Model):
    name: str
    version: str
    licence: str
    """The SPDX expression to judge: what was found, or what a human chose instead."""
    classification: Classification
    validation: Validation
    facts: Facts
    decision: str = ""


class Summary(Model):
    text: str
    verdict: Verdict
    method: str = "rules"


class Audit(Model):
    """The workflow's result."""

    name: str
    version: str
    declared: str
    found: str
    confidence: float
    verdict: Verdict
    text: str
    files: list[FileMatch] = []
    facts: Facts
    mismatch: str = ""
    decision: str = ""
    methods: dict[str, str] = {}


class Progress(Model):
    """What a workflow tells its watchers while it runs or waits."""

    stage: str
    declared: str = ""
    found: str = ""
    confidence: float = 0.0
