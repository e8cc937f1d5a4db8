# SPDX-License-Identifier: Apache-2.0
"""The message and the agent of AutoGen's worker. AutoGen looks for the types of a handler at the top of its module."""

from __future__ import annotations

from dataclasses import dataclass

from autogen_core import MessageContext, RoutedAgent, message_handler
from comparing.work import work


@dataclass
class Text:
    text: str


class Step(RoutedAgent):
    @message_handler
    async def on_text(self, message: Text, ctx: MessageContext) -> Text:
        """Hands back what it got."""
        await work("", message.text)
        return message
