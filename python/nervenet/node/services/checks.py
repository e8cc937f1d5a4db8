# SPDX-License-Identifier: Apache-2.0
"""Whether an answer is one: of the choices, or by the JSON Schema of what was asked.

The schema of a question is refused where it is asked: `ctx.ask` raises, the gateway fails the attempt. An agent that
writes to Redis itself can still have put anything there. Then nothing is checked, and the log reports it: a person must
be able to answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nervenet.payloads import read_json
from nervenet.rpc.status import invalid, invalid_all
from nervenet.schemas import below, malformed, misfits

if TYPE_CHECKING:
    from nervenet.records import Payload, Question


_log = logging.getLogger(__name__)


def check_answer(value: Payload, question: Question, id: str) -> None:
    """Raises InvalidRequest with every problem and its path."""
    if question.choices and value.form == "json":
        if read_json(value.data) not in question.choices:
            raise invalid("resolution.value", f"not one of the choices: {', '.join(question.choices)}")
        return
    if not question.schema:
        return
    if value.form != "json":
        raise invalid("resolution.value", "a JSON value is asked for")
    if wrong := malformed(question.schema):
        _log.warning("%s: the answer is not checked, its schema is no JSON Schema: %s", id, wrong)
        return
    problems = misfits(read_json(value.data), read_json(question.schema))
    if problems:
        raise invalid_all([(below("resolution.value", path), words) for path, words in problems])
