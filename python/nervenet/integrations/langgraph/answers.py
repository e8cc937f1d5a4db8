# SPDX-License-Identifier: Apache-2.0
"""What a human answers to an `Escalate` of a node: the update of the state, as plain JSON.

The suggestion of the node has the form of an agent's reply, `{"value": …}`. A human who writes an answer leaves that form out:
`{"licence": "MIT"}`. Where a channel holds a model or a dataclass, its JSON becomes such an object, as the node would return it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from nervenet.errors import NervenetError

REPLIES = frozenset({"value", "interrupts", "invalid"})
"""The keys of an agent's reply, of which it has one."""
_ROOT = "__root__"
"""The channel of a graph whose state is one value."""


class NoUpdate(NervenetError, ValueError):
    """A human's answer in place of a node is no update of the graph's state. The message says which keys there are."""


def is_reply(found: Any) -> bool:
    """Whether an agent replied. False: a human answered in its place."""
    return isinstance(found, dict) and bool(REPLIES & found.keys())


def update_of(answer: Any, channels: Mapping[str, Any], node: str) -> Any:
    """The update that a human's answer stands for.

    Args:
        answer: The answer, decoded.
        channels: The channels of the node's graph.
        node: The node and its line, for messages.

    Raises:
        NoUpdate: The answer is none.
    """
    if answer is None or _ROOT in channels:
        return answer
    if not isinstance(answer, dict) or not answer.keys() <= channels.keys():
        raise NoUpdate(
            f"node {node}: the answer {answer!r:.200} is no update of the state: answer an object with some of the keys "
            f"{', '.join(sorted(channels))}"
        )
    return {name: _typed(value, getattr(channels[name], "typ", None), name, node) for name, value in answer.items()}


def _typed(value: Any, kind: Any, name: str, node: str) -> Any:
    if not isinstance(value, dict) or not isinstance(kind, type):
        return value
    if not (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)):
        return value
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in (name, *wrong["loc"]))
        raise NoUpdate(f"node {node}: the answer does not fit {kind.__name__}: {where}: {wrong['msg']}") from None
