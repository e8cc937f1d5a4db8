# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas in the form of OpenAI's strict mode, and whether a value fits a schema. No I/O.

Strict mode takes a part of JSON Schema: each object has `additionalProperties: false` and requires all of its properties,
nothing has a default, and a `$ref` stands alone. https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

from typing import Any, cast

__all__ = ["misfit", "strict_form"]


def strict_form(schema: Any) -> dict[str, Any] | None:
    """The schema in strict form. None: it has none, because an object in it may have any properties, or because it has a keyword
    that strict mode does not take."""
    try:
        return cast("dict[str, Any]", _strict(schema))
    except _NoStrictForm:
        return None


_LEFT_OUT = frozenset({"default", "discriminator"})
_NAMES = {"oneOf": "anyOf"}
"""Strict mode knows `anyOf` alone. pydantic writes `oneOf` where a field tells the models apart, so that one fits at most."""
_REFUSED = frozenset(
    {
        *("allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"),
        *("prefixItems", "uniqueItems", "contains", "patternProperties", "propertyNames"),
    }
)
"""Keywords of JSON Schema that strict mode does not take."""


class _NoStrictForm(Exception):
    pass


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(one) for one in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("dict[str, Any]", schema)
    if "$ref" in known:
        return {"$ref": known["$ref"]}
    if _REFUSED & known.keys():
        raise _NoStrictForm
    plain = {_NAMES.get(name, name): _inside(name, value) for name, value in known.items() if name not in _LEFT_OUT}
    if known.get("type") == "object":
        if not known.get("properties") or known.get("additionalProperties"):
            raise _NoStrictForm
        plain["required"] = list(known["properties"])
        plain["additionalProperties"] = False
    return plain


def _inside(name: str, value: Any) -> Any:
    """What a keyword holds: schemas by name, a schema, or a plain value."""
    if name in ("properties", "$defs"):
        return {each: _strict(one) for each, one in value.items()}
    return value if name in ("enum", "const", "required", "examples") else _strict(value)


def misfit(value: Any, schema: dict[str, Any]) -> str:
    """What is wrong with a value by a schema, with its path. "": nothing."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # late: it takes 60 ms
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
    from referencing import Registry

    validator = cast(
        "Any", Draft202012Validator(schema, registry=Registry())
    )  # without a registry that fetches documents
    error = cast("Any", best_match(validator.iter_errors(value)))
    if error is None:
        return ""
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else str(error.message)
