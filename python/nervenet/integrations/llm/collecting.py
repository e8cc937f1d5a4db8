# SPDX-License-Identifier: Apache-2.0
"""One answer, put together from the chunks of a stream or from a whole completion. No I/O.

It reads attributes by name and takes what is missing as not said, because compatible servers leave out what they like.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from nervenet.integrations.llm.errors import InvalidAnswer
from nervenet.integrations.llm.messages import ChatReply, ToolCall

__all__ = ["CUT", "Collected"]

CUT = {
    "length": "the answer ends at the token limit; raise max_tokens",
    "content_filter": "the endpoint's content filter ended the answer; change the messages",
}
"""Why an answer is not whole, by `finish`. Another attempt ends in the same way."""


@dataclass
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Collected:
    """What came so far. `finish` is "" until the endpoint says that the answer is whole."""

    def __init__(self) -> None:
        self.text = ""
        self.refusal = ""
        self.finish = ""
        self.model = ""
        self.usage: tuple[int, int] | None = None
        self._calls: dict[int, _Call] = {}

    def add(self, chunk: Any) -> str:
        """Take a chunk of a stream; the text that it adds."""
        self._note(chunk)
        added = ""
        for choice in chunk.choices or ():
            self.finish = choice.finish_reason or self.finish
            delta = choice.delta
            if delta is None:
                continue
            added += delta.content or ""
            self.refusal += getattr(delta, "refusal", None) or ""
            for call in delta.tool_calls or ():
                self._add_call(call)
        self.text += added
        return added

    def take(self, completion: Any) -> None:
        """Take a whole completion."""
        self._note(completion)
        for choice in completion.choices or ():
            self.finish = choice.finish_reason or "stop"
            message = choice.message
            self.text = message.content or ""
            self.refusal = getattr(message, "refusal", None) or ""
            for index, call in enumerate(message.tool_calls or ()):
                function = call.function
                self._calls[index] = _Call(call.id or "", function.name or "", function.arguments or "")

    def reply(self) -> ChatReply:
        """The answer.

        Raises:
            InvalidAnswer: The arguments of a tool are no JSON object.
        """
        calls = [self._tool_call(index, call) for index, call in sorted(self._calls.items())]
        used = self.usage or (0, 0)
        return ChatReply(
            text=self.text,
            tool_calls=calls,
            finish=self.finish,
            model=self.model,
            refusal=self.refusal or None,
            input_tokens=used[0],
            output_tokens=used[1],
        )

    def _note(self, chunk: Any) -> None:
        self.model = chunk.model or self.model
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self.usage = (usage.prompt_tokens or 0, usage.completion_tokens or 0)

    def _add_call(self, delta: Any) -> None:
        index = len(self._calls) if delta.index is None else delta.index
        call = self._calls.setdefault(index, _Call())
        call.id = delta.id or call.id
        if delta.function is not None:
            call.name += delta.function.name or ""
            call.arguments += delta.function.arguments or ""

    def _tool_call(self, index: int, call: _Call) -> ToolCall:
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            what = f"the arguments of the tool {call.name!r} are no JSON object: {call.arguments[:200]!r}"
            cut = CUT.get(self.finish)
            raise InvalidAnswer(f"{what}; {cut}", retryable=False) if cut else InvalidAnswer(what)
        return ToolCall(id=call.id or f"call-{index}", name=call.name, arguments=cast("dict[str, Any]", arguments))
