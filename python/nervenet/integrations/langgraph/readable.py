# SPDX-License-Identifier: Apache-2.0
"""Values of a graph for people and for other languages: JSON without tags, which cannot be decoded."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from nervenet.integrations.langgraph.fields import fields_of


def readable(value: Any, /) -> Any:
    """A state for people and other languages: messages as `{"type": "ai", "content": …}`, models as objects, without tags and
    without fields that have their defaults. It cannot be decoded."""
    if isinstance(value, BaseMessage):
        return {"type": value.type, **_readable_fields(value)}
    if isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return _readable_fields(value)
    if isinstance(value, Mapping):
        return {str(key): readable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return [readable(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted((readable(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True, default=str))
    if isinstance(value, Enum):
        return readable(value.value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    iso = getattr(value, "isoformat", None)
    return iso() if iso is not None else str(value)


def _readable_fields(value: Any) -> dict[str, Any]:
    return {key: readable(one) for key, one in fields_of(value).items()}
