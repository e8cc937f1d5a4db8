# SPDX-License-Identifier: Apache-2.0
"""What the stand-in answers: rules, the first of which that fits a request decides. Pure; the server does the I/O.

A test writes rules, the server gets them as JSON (`as_json`, `rule_from_json`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.frameworks.llm_server.conversation import Conversation


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model calls. `arguments` is sent as JSON; a string is sent as it is (to send broken JSON)."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    r"""If the last message of a request fits, the stand-in answers like this.

        Rule(r"capital of (\w+)", reply=r"\1 has one.")
        Rule("weather", tools=[ToolCall("forecast", {"city": "Oslo"}), ToolCall("forecast", {"city": "Rome"})])
        Rule("rain", role="tool", reply="Take an umbrella.")
        Rule("busy", status=429, retry_after="1", times=1)

    Args:
        when: A regular expression that is found in the text of the last message. "" fits every text.
        role: The role of the last message ("user", "tool", …). "" fits every role.
        anywhere: A regular expression that is found in any message of the request. "" fits every request.
        model: The model that is asked. "" fits every model.
        times: How many requests the rule answers. After that it fits no request. None: no limit.
        reply: The text. Groups of `when` can be used: `\1`.
        tools: The calls of tools, after the text.
        json: A value; its JSON is the text. For structured output.
        delay: Seconds before the first token.
        token_delay: Seconds before each other token.
        hold_after: Stop after this number of tokens, until the test calls `release`.
        status: Refuse with this HTTP status, instead of an answer.
        code: `error.code` of the refusal.
        message: `error.message` of the refusal.
        retry_after: The header `Retry-After` of the refusal.
        cut_after: Cut the connection after this number of tokens. 0: before the answer begins.
        error_after: Send an error inside the stream after this number of tokens.
        usage: False: never say how many tokens were used, as some servers do.
        finish: The finish reason, in place of "stop", "tool_calls" or "length".
    """

    when: str = ""
    role: str = ""
    anywhere: str = ""
    model: str = ""
    times: int | None = None
    reply: str = ""
    tools: Sequence[ToolCall] = ()
    json: Any = None
    delay: float = 0
    token_delay: float = 0
    hold_after: int | None = None
    status: int | None = None
    code: str | None = None
    message: str = ""
    retry_after: str | None = None
    cut_after: int | None = None
    error_after: int | None = None
    usage: bool = True
    finish: str = ""

    def match(self, conversation: Conversation) -> re.Match[str] | None:
        """What `when` found, if the whole rule fits."""
        last = conversation.last
        if (self.role and self.role != last.role) or (self.model and self.model != conversation.model):
            return None
        if self.anywhere and not any(re.search(self.anywhere, one.text) for one in conversation.messages):
            return None
        return re.search(self.when, last.text, re.DOTALL)


def as_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [asdict(rule) for rule in rules]


def rule_from_json(data: dict[str, Any]) -> Rule:
    return Rule(**{**data, "tools": [ToolCall(**call) for call in data.get("tools", ())]})


class Script:
    """The rules of a server, and how often each one has answered."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._used: list[int] = []

    def add(self, rules: Sequence[Rule]) -> None:
        self._rules.extend(rules)
        self._used.extend(0 for _ in rules)

    def clear(self) -> None:
        self._rules.clear()
        self._used.clear()

    def take(self, conversation: Conversation) -> tuple[Rule, re.Match[str]] | None:
        """The first rule that fits and may answer once more; it is counted."""
        for at, rule in enumerate(self._rules):
            if rule.times is not None and self._used[at] >= rule.times:
                continue
            if found := rule.match(conversation):
                self._used[at] += 1
                return rule, found
        return None
