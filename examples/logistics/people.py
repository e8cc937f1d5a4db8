# SPDX-License-Identifier: Apache-2.0
"""The person who decides about exceptions, as a script: it answers each open question with what its rules say."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from nervenet import Client, Resolution
from nervenet.errors import AlreadyClosed, RequestError

from .models import Decision

RULES: Final = {"damaged": Decision.REPLACE, "refused": Decision.REFUND, "held by customs": Decision.WAIT}
LOOKS_EVERY_S: Final = 0.25


class Person:
    """Answers until it is cancelled."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: dict[str, str] = {}
        """Id of the question → id of its workflow."""
        self.answered = set[str]()
        """Ids of questions."""

    async def answer(self) -> None:
        while True:
            with suppress(RequestError, TimeoutError):  # a node was killed: look again
                async for question in self._client.escalations():
                    self.asked[question.id] = question.workflow_id
                    decision = RULES[question.context["status"]]
                    with suppress(AlreadyClosed):  # an earlier answer arrived, its confirmation did not
                        await self._client.resolve(question.id, Resolution.complete(decision.value, resolver="script"))
                    self.answered.add(question.id)
            await asyncio.sleep(LOOKS_EVERY_S)
