# SPDX-License-Identifier: Apache-2.0
"""The short form of `make model`, and that the checker can fail: without its cure, each known sickness comes back."""

from __future__ import annotations

import pytest

from tests.model.engine import check, objection_to
from tests.model.runs import KNOCK_OUTS, SHORT


@pytest.mark.parametrize("name", SHORT)
def test_the_protocol_keeps_its_promises(name: str) -> None:
    verdict = check(SHORT[name])
    assert verdict.ok, "\n".join(map(str, verdict.objections))
    assert verdict.acyclic


@pytest.mark.parametrize("name", KNOCK_OUTS)
def test_without_a_safeguard_something_goes_wrong(name: str) -> None:
    model, words = KNOCK_OUTS[name]
    assert objection_to(model, words) is not None, [objection.promise for objection in check(model).objections]
