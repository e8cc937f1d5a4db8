# SPDX-License-Identifier: Apache-2.0
"""The fields of an object that differ from their defaults, and the object again from those.

A field that a later release adds with a default is absent from what an older release wrote, and from what the newer one
writes again. So the bytes of a value stay the same over an upgrade.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

_NONE = object()
_CHANGEABLE = (list, dict, set, bytearray, BaseModel)
"""Defaults of a model's fields that each object gets a copy of."""


class _Field(NamedTuple):
    name: str
    default: Callable[[], Any] | None
    """Makes the default. None: the field has none."""


def fields_of(value: Any) -> Mapping[str, Any]:
    """The fields that do not have their default, and those that are not declared."""
    found = {}
    kind: Any = type(value)
    for name, default in _plan(kind):
        one = getattr(value, name, _NONE)
        if one is not _NONE and not (default is not None and same(one, default())):
            found[name] = one
    extra = getattr(value, "__pydantic_extra__", None)
    return {**found, **extra} if extra else found


def defaults_of(kind: Any) -> Mapping[str, Callable[[], Any]]:
    """What makes the default of each field of a model or dataclass that has one; nothing for other classes."""
    if isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)):
        return {name: default for name, default in _plan(kind) if default is not None}
    return {}


def build(kind: Any, fields: Mapping[str, Any]) -> Any:
    """An object with these fields and the defaults of the others. Nothing is validated or converted again."""
    if issubclass(kind, BaseModel):
        return kind.model_construct(**fields)
    new = object.__new__(kind)
    for name, default in _plan(kind):
        if name in fields:
            object.__setattr__(new, name, fields[name])
        elif default is not None:
            object.__setattr__(new, name, default())
    return new


@lru_cache(maxsize=1024)
def _plan(kind: Any) -> tuple[_Field, ...]:
    if issubclass(kind, BaseModel):
        return tuple(_Field(name, _model_default(field)) for name, field in kind.model_fields.items())
    return tuple(_Field(one.name, _dataclass_default(one)) for one in dataclasses.fields(kind))


def _model_default(field: Any) -> Callable[[], Any] | None:
    if field.default_factory is not None:
        return None if field.default_factory_takes_validated_data else field.default_factory
    default = field.default
    if default is PydanticUndefined:
        return None
    return (lambda: deepcopy(default)) if isinstance(default, _CHANGEABLE) else lambda: default


def _dataclass_default(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    default = field.default
    return None if default is dataclasses.MISSING else lambda: default


def same(value: Any, default: Any) -> bool:
    """Whether a value is the default, in type and content."""
    if value is default:
        return True
    if type(value) is not type(default):
        return False
    try:
        return bool(value == default)
    except Exception:  # noqa: BLE001  # an array, or a class whose comparison fails: it is not the default then
        return False
