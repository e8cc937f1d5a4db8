# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas that somebody else wrote: whether one is a schema, and whether a value fits it. Total, and without network.

A `$ref` to another document is not fetched: a schema comes with a request, and must not make a node ask other servers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Misfit", "UnusableSchema", "misfit", "schema_problem"]


class Misfit(NamedTuple):
    """Where a value does not fit (`.items[2].name`, "" = as a whole), and why."""

    path: str
    words: str


class UnusableSchema(ValueError):
    """What should be a schema is none, or refers to what is not there."""


def schema_problem(schema: Any) -> str:
    """Why it is no JSON Schema; "" = it is one."""
    import jsonschema  # type: ignore[import-untyped]  # has no types; late: it takes 60 ms

    dialect = jsonschema.Draft202012Validator
    try:
        dialect.check_schema(schema, format_checker=dialect.FORMAT_CHECKER)
    except jsonschema.SchemaError as error:
        return f"no JSON Schema: {error.json_path}: {error.message}"
    except RecursionError:
        return "no JSON Schema: it is nested too deeply"
    return ""


def misfit(value: Any, schema: Any) -> Misfit | None:
    """What is most wrong with the value; None = it fits. Raises UnusableSchema."""
    if problem := schema_problem(schema):
        raise UnusableSchema(problem)
    import jsonschema
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]  # as above
    from referencing import Registry

    validator = jsonschema.Draft202012Validator(schema, registry=Registry())
    try:
        worst = best_match(validator.iter_errors(value))
    except Exception as error:  # noqa: BLE001  # of references that lead nowhere, which have no public type, and of depth
        raise UnusableSchema(f"the schema cannot be used: {error!r}") from None
    if worst is None:
        return None
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in worst.absolute_path)
    return Misfit(path, worst.message)
