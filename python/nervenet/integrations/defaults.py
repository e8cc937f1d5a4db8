# SPDX-License-Identifier: Apache-2.0
"""The defaults of models and dataclasses. A value that leaves them out has the same bytes after an upgrade that adds a field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any, NamedTuple, cast

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

__all__ = ["Field", "defaults_of", "fields_in", "has_fields", "same"]


_CHANGEABLE = (list, dict, set, bytearray, BaseModel)
"""Defaults of a model's fields that each object gets a copy of."""


class Field(NamedTuple):
    """A field of a class.

    Attributes:
        name: Its name.
        default: Makes the default. None: the field has none.
    """

    name: str
    default: Callable[[], Any] | None


def has_fields(kind: Any) -> bool:
    """Whether a class is a model or a dataclass."""
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(cast("object", kind)))


@lru_cache(maxsize=1024)
def fields_in(kind: Any) -> tuple[Field, ...]:
    """The fields of a model or dataclass."""
    if issubclass(kind, BaseModel):
        return tuple(Field(name, _model_default(field)) for name, field in kind.model_fields.items())
    return tuple(Field(one.name, _dataclass_default(one)) for one in dataclasses.fields(kind))


@lru_cache(maxsize=1024)
def defaults_of(kind: Any) -> Mapping[str, Callable[[], Any]]:
    """What makes the default of each field of a model or dataclass that has one; nothing for other classes."""
    if not has_fields(kind):
        return {}
    return {name: default for name, default in fields_in(kind) if default is not None}


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
