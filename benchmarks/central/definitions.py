# SPDX-License-Identifier: Apache-2.0
"""Which workflows there are: a sequence of steps, each a capability of the workers, and what of their results is kept.

A value is a piece of JSON. The orchestrator passes it on and saves it, and never decodes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum


class Keeps(Enum):
    """What the state of a workflow is made of."""

    LAST = "the result of the last step, which is the input of the next one"
    ALL = "the results of all steps; each step gets the input of the workflow"


@dataclass(frozen=True, slots=True)
class Definition:
    name: bytes
    steps: tuple[bytes, ...]
    keeps: Keeps

    def input_of_next_step(self, start: bytes, results: list[bytes]) -> bytes:
        return results[-1] if self.keeps is Keeps.LAST and results else start

    def result(self, results: list[bytes]) -> bytes:
        """Of the whole workflow: the last result, or how long all the texts are together."""
        if self.keeps is Keeps.LAST:
            return results[-1]
        return b"%d" % sum(len(json.loads(value)) for value in results)


FOUR = Definition(b"four", (b"work",) * 4, Keeps.LAST)
TWENTY = Definition(b"twenty", (b"write",) * 20, Keeps.ALL)
DEFINITIONS = {definition.name: definition for definition in (FOUR, TWENTY)}
