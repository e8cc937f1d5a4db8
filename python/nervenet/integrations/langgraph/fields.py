# SPDX-License-Identifier: Apache-2.0
"""The fields of an object that differ from their defaults, and the object again from those.

A field that a later release adds with a default is absent from what an older release wrote, and from what the newer one
writes again. So the bytes of a value stay the same over an upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from nervenet.integrations.defaults import fields_in, same

_NONE = object()
_CHANGEABLE = (list, dict, set, bytearray, BaseModel)
"""Defaults of a model's fields that each object gets a copy of."""


def fields_of(value: Any) -> Mapping[str, Any]:
    """The fields that do not have their default, and those that are not declared."""
    found = {}
    kind: Any = type(value)
    for name, default in fields_in(kind):
        one = getattr(value, name, _NONE)
        if one is not _NONE and not (default is not None and same(one, default())):
            found[name] = one
    extra = getattr(value, "__pydantic_extra__", None)
    return {**found, **extra} if extra else found


def build(kind: Any, fields: Mapping[str, Any]) -> Any:
    """An object with these fields and the defaults of the others. Nothing is validated or converted again."""
    if issubclass(kind, BaseModel):
        return kind.model_construct(**fields)
    new = object.__new__(kind)
    for name, default in fields_in(kind):
        if name in fields:
            object.__setattr__(new, name, fields[name])
        elif default is not None:
            object.__setattr__(new, name, default())
    return new
