# SPDX-License-Identifier: Apache-2.0
"""An answer of the stand-in, before it has the form of one of the APIs. The same request and rule give the same answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tests.frameworks.llm_server.conversation import Conversation
from tests.frameworks.llm_server.rules import Rule

PIECE = 12
"""Characters of a call's arguments that come as one token."""


@dataclass(frozen=True)
class Call:
    """A call of a tool, with its arguments in the pieces in which they are sent."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Answer:
    """What the model says.

    Attributes:
        id: Made of the request, so that it is the same on every run.
        finish: "stop", "tool_calls" or "length".
    """

    id: str
    model: str
    tokens: tuple[str, ...]
    calls: tuple[Call, ...]
    finish: str
    input_tokens: int
    with_usage: bool

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def output_tokens(self) -> int:
        return len(self.tokens) + sum(len(call.pieces) for call in self.calls)


def answer(conversation: Conversation, rule: Rule, found: re.Match[str]) -> Answer:
    """What this rule says to this request. `max_tokens` cuts the text."""
    text = json.dumps(rule.json) if rule.json is not None else found.expand(rule.reply)
    tokens = tuple(re.findall(r"\s*\S+\s*$|\s*\S+", text)) or ((text,) if text else ())
    limit = conversation.max_tokens
    calls = tuple(
        Call(
            f"call_{conversation.key}{at}",
            call.name,
            _pieces(call.arguments if isinstance(call.arguments, str) else json.dumps(dict(call.arguments))),
        )
        for at, call in enumerate(rule.tools)
    )
    finish = "tool_calls" if calls else "stop"
    if limit is not None and len(tokens) > limit:
        tokens, calls, finish = tokens[:limit], (), "length"
    return Answer(
        id=conversation.key,
        model=conversation.model,
        tokens=tokens,
        calls=calls,
        finish=rule.finish or finish,
        input_tokens=conversation.input_tokens,
        with_usage=rule.usage and conversation.with_usage,
    )


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + PIECE] for at in range(0, len(text), PIECE))
