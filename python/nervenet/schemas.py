# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of payload types, and whether a payload fits one, for processes that do not have the type.

    text = schema_of(TypeAdapter(Order))                     # what a definition publishes
    fit(text).problems(payload, "input")                     # [("input.items[2].price", "input should be …, got 'x'")]

The code's own decoder (`payloads.Codec`) is the truth, and it accepts more than JSON Schema says: "3" for an integer, a
number for a datetime, whatever a validator of the user turns into the type. A check must never refuse what the decoder
accepts. So two things differ from plain JSON Schema:

- `schema_of` marks with `x-accepts-more` each part of a schema whose type it does not know to be described fully. What is
  marked is not checked.
- `fit` builds the check from pydantic's own parts, in the mode that the decoder uses. The words of the problems are the
  decoder's too, patterns take linear time, and no code of the user runs. A JSON Schema library was rejected: it is strict,
  200 times slower, and its regular expressions can be made to run without end.

Only schemas that `schema_of` made can be checked so. A schema that a person or an agent in another language wrote is
checked as JSON Schema says: `malformed` and `misfits`.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema, from_json

from nervenet.records import Payload

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["MORE", "Fit", "below", "described", "fit", "malformed", "misfits", "path_of", "schema_of"]

MORE: Final = "x-accepts-more"
"""In a schema that `schema_of` made: the code accepts more here than the schema says."""

Problem = tuple[str, str]
"""Where (`input.items[2].price`), and what."""


# ── from a type to its schema ────────────────────────────────────────────────────────────────────────────────────────

_DESCRIBED: Final = frozenset(
    {
        *("any", "none", "bool", "int", "float", "decimal", "str", "bytes", "date", "time", "datetime", "timedelta"),
        *("uuid", "literal", "enum", "list", "tuple", "set", "frozenset", "dict", "nullable", "union", "tagged-union"),
        *("default", "model", "model-fields", "model-field", "dataclass", "dataclass-args", "dataclass-field"),
        *("typed-dict", "typed-dict-field", "definitions", "definition-ref", "function-after", "json-or-python"),
        *("lax-or-strict", "chain", "url", "multi-host-url"),
    }
)
"""pydantic's kinds of types whose schema says everything that they accept, but for what pydantic coerces."""
_LOOSE: Final = (
    *("populate_by_name", "validate_by_name", "coerce_numbers_to_str", "str_strip_whitespace", "str_to_lower"),
    *("str_to_upper", "ser_json_timedelta", "ser_json_temporal", "regex_engine"),
)
"""Settings of a model under which its schema says less than it accepts."""
_READ: Final = frozenset(
    {
        *("$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "required", "items", "prefixItems"),
        *("additionalProperties", "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"),
        *("pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("uniqueItems", "patternProperties", "propertyNames"),
    }
)
"""The keywords that a check reads: extra ones of the user are harmless elsewhere."""


class _Marking(GenerateJsonSchema):
    """pydantic's generator, and a mark where the schema is not the whole truth."""

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        found = super().generate_inner(schema)
        if _is_described(schema):
            return found
        name = self.json_to_defs_refs.get(found["$ref"]) if "$ref" in found else None
        if name is not None and name in self.definitions:
            self.definitions[name][MORE] = True
        return {**found, MORE: True}


def schema_of(adapter: TypeAdapter[Any]) -> str:
    """The marked JSON Schema of a type as compact JSON."""
    return json.dumps(adapter.json_schema(schema_generator=_Marking), ensure_ascii=False, separators=(",", ":"))


def _is_described(schema: Any) -> bool:
    kind = schema["type"]
    if kind not in _DESCRIBED or _has_schema_of_its_own(kind, schema.get("metadata") or {}):
        return False
    if kind in ("model", "dataclass", "typed-dict"):
        own = getattr(schema["cls"], "model_config", None) if "cls" in schema else None
        config = {**(own if isinstance(own, dict) else {}), **(schema.get("config") or {})}
        if schema.get("custom_init") or _overwrites(config.get("json_schema_extra")):
            return False
        if any(config.get(name) not in (None, False, "iso8601", "rust-regex") for name in _LOOSE):
            return False
    if kind in ("model-fields", "typed-dict", "dataclass-args"):
        fields = schema["fields"]
        each = fields.values() if isinstance(fields, dict) else fields
        return all(isinstance(field.get("validation_alias", ""), str) for field in each)
    if kind == "default":
        return bool(schema.get("on_error", "raise") == "raise")
    if kind == "enum":
        return "_missing_" not in {name for each in schema["cls"].__mro__ if each is not Enum for name in vars(each)}
    if kind == "str":
        loose = ("strip_whitespace", "to_lower", "to_upper", "coerce_numbers_to_str")
        return not any(schema.get(name) for name in loose) and schema.get("regex_engine") != "python-re"
    return True


def _has_schema_of_its_own(kind: str, metadata: Mapping[str, Any]) -> bool:
    """Whether the JSON Schema is not derived from the type: pydantic does that for classes, others for anything."""
    functions = metadata.get("pydantic_js_functions", ())
    derived = kind in ("model", "dataclass", "typed-dict", "enum")
    return (
        bool(metadata.get("pydantic_js_annotation_functions"))
        or _overwrites(metadata.get("pydantic_js_extra"))
        or any(not derived or not _module_of(function).startswith("pydantic") for function in functions)
    )


def _overwrites(extra: Any) -> bool:
    return callable(extra) or (isinstance(extra, dict) and not _READ.isdisjoint(extra))


def _module_of(function: Any) -> str:
    return str(getattr(getattr(function, "func", function), "__module__", ""))


# ── from a schema to a check ─────────────────────────────────────────────────────────────────────────────────────────

_ANY: Final = core_schema.any_schema()
_UNION: Final = "\0"
"""Prefix of a union's branch in an error's location; it is not part of the path."""
_TIMES: Final[dict[str, Any]] = {
    "date-time": core_schema.datetime_schema(),
    "date": core_schema.date_schema(),
    "time": core_schema.time_schema(),
    "duration": core_schema.timedelta_schema(),
    "uuid": core_schema.uuid_schema(),
}
_BYTES: Final = ("binary", "base64", "base64url")
_LENGTHS: Final = {"minLength": "min_length", "maxLength": "max_length"}
_NUMBERS: Final = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}


class Fit:
    """The check of one schema. Get one with `fit`; it is shared."""

    __slots__ = ("_is_text", "_raw", "_validator")

    def __init__(self, validator: SchemaValidator, schema: Mapping[str, Any]) -> None:
        self._validator = validator
        members = schema.get("anyOf", (schema,))
        self._raw = any(member.get("format") in _BYTES or member.get(MORE) for member in members)
        self._is_text = schema.get("type") == "string" and "format" not in schema

    def problems(self, payload: Payload, name: str) -> list[Problem]:
        """What is wrong with it, each with its path, which begins with `name`. JSON that is none is not looked at."""
        form, data = payload.form, payload.data
        if form == "json":
            return self._problems(data, name)
        if form == "none":
            return [(path, f"no value is given: {words}") for path, words in self._problems(b"null", name)]
        if form == "bytes":
            return [] if self._raw else [(name, f"raw bytes ({len(data)} of them), a JSON value is needed")]
        if form == "uri":
            return [] if self._is_text else [(name, "a URI; the code does not take one")]
        if form == "text" and not self._raw:
            return self._problems(json.dumps(data.decode(errors="replace")).encode(), name)
        return []

    def _problems(self, data: bytes, name: str) -> list[Problem]:
        try:
            self._validator.validate_json(data)
        except ValidationError as error:
            found: dict[str, list[str]] = {}
            for item in error.errors(include_url=False, include_context=False):
                if item["type"] == "json_invalid":
                    return []
                place = [part for part in item["loc"] if not str(part).startswith(_UNION)]
                words = found.setdefault(name + path_of(place), [])
                if (one := described(item)) not in words:
                    words.append(one)
            return [(path, "; or ".join(words)) for path, words in found.items()]
        return []


@lru_cache(maxsize=2048)
def fit(schema: str) -> Fit | None:
    """The check of a schema that `schema_of` made; None where it accepts everything, or is not understood."""
    try:
        found = json.loads(schema)
        checked = _CheckBuilder(found).made()
        return None if checked["type"] == "any" else Fit(SchemaValidator(checked), found)
    except (SchemaError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class _CheckBuilder:
    """A JSON Schema, as pydantic's core would check it. What it does not know it does not check."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._known: dict[str, Any] = schema.get("$defs", {})
        self._used: dict[str, Any] = {}

    def made(self) -> Any:
        root = self._one(self._schema)
        if not self._used or root["type"] == "any":
            return root
        return core_schema.definitions_schema(root, [{**made, "ref": name} for name, made in self._used.items()])

    def _one(self, schema: Any) -> Any:
        if not isinstance(schema, dict) or schema.get(MORE):
            return _ANY
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "const" in schema or "enum" in schema:
            return _literal(schema["enum"] if "enum" in schema else [schema["const"]])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._tagged(schema.get("discriminator")) or self._union(schema[word])
        if "allOf" in schema:
            return self._one(schema["allOf"][0]) if len(schema["allOf"]) == 1 else _ANY
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union([{**schema, "type": each} for each in kind])
        return self._of_type(kind, schema)

    def _reference(self, reference: str) -> Any:
        place, _, name = reference.rpartition("/")
        name = name.replace("~1", "/").replace("~0", "~")
        if place != "#/$defs" or name not in self._known:
            return _ANY
        if name not in self._used:
            self._used[name] = {"type": "being made"}  # it may contain itself
            self._used[name] = self._one(self._known[name])
        return core_schema.definition_reference_schema(name)

    def _union(self, schemas: list[Any]) -> Any:
        made = [self._one(schema) for schema in schemas]
        if any(self._accepts_all(each) for each in made):
            return _ANY
        left = [each for each in made if each["type"] != "none"]
        if not left:
            return core_schema.none_schema()
        labelled: list[Any] = [(each, f"{_UNION}{i}") for i, each in enumerate(left)]
        union = left[0] if len(left) == 1 else core_schema.union_schema(labelled, mode="left_to_right")
        return union if len(left) == len(made) else core_schema.nullable_schema(union)

    def _tagged(self, discriminator: Any) -> Any:
        """A union whose values say by a text which branch they are; None where this is not one."""
        if not isinstance(discriminator, dict) or not discriminator.get("mapping"):
            return None
        name, branches = discriminator["propertyName"], discriminator["mapping"]
        made = {_UNION + tag: self._one({"$ref": reference}) for tag, reference in branches.items()}
        if any(self._accepts_all(each) for each in made.values()):
            return None
        return core_schema.tagged_union_schema(
            made,
            lambda value: (
                _UNION + value[name] if isinstance(value, dict) and isinstance(value.get(name), str) else None
            ),
            custom_error_type="tag",
            custom_error_message=f"an object is needed whose {name!r} is {' or '.join(map(repr, branches))}",
        )

    def _accepts_all(self, made: Any) -> bool:
        """References to what accepts everything included."""
        return bool((self._used[made["schema_ref"]] if made["type"] == "definition-ref" else made)["type"] == "any")

    def _of_type(self, kind: Any, schema: dict[str, Any]) -> Any:
        match kind:
            case "string":
                return _text(schema)
            case "integer":
                return core_schema.int_schema(**_renamed(schema, _NUMBERS))
            case "number":
                return core_schema.float_schema(**_renamed(schema, _NUMBERS))
            case "boolean":
                return core_schema.bool_schema()
            case "null":
                return core_schema.none_schema()
            case "array":
                return self._array(schema)
            case "object":
                return self._object(schema)
        return _ANY

    def _array(self, schema: dict[str, Any]) -> Any:
        sizes = _renamed(schema, {"minItems": "min_length", "maxItems": "max_length"})
        if schema.get("uniqueItems"):  # a set, which counts what is left of it
            sizes.pop("max_length", None)
        if "prefixItems" not in schema:
            return core_schema.list_schema(self._one(schema.get("items", {})), **sizes)
        items = [self._one(each) for each in schema["prefixItems"]]
        if sizes.get("max_length") == sizes.get("min_length") == len(items):
            return core_schema.tuple_schema(items)
        return core_schema.list_schema(**sizes)

    def _object(self, schema: dict[str, Any]) -> Any:
        more, known = schema.get("additionalProperties", True), schema.get("properties")
        if known is None and more is not False:
            if "patternProperties" in schema:
                more = True
            return core_schema.dict_schema(
                None,
                self._one(more),
                **_renamed(schema, {"minProperties": "min_length", "maxProperties": "max_length"}),
            )
        needed = schema.get("required", ())
        fields = {
            name: core_schema.typed_dict_field(self._one(each), required=name in needed)
            for name, each in (known or {}).items()
        }
        if isinstance(more, dict):
            return core_schema.typed_dict_schema(fields, extra_behavior="allow", extras_schema=self._one(more))
        return core_schema.typed_dict_schema(fields, extra_behavior="ignore" if more else "forbid")


def _renamed(schema: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {ours: schema[theirs] for theirs, ours in names.items() if theirs in schema}


def _text(schema: dict[str, Any]) -> Any:
    form = schema.get("format")
    if form is not None:  # lengths and patterns are those of what the text stands for
        return _TIMES.get(form) or core_schema.str_schema()
    pattern = schema.get("pattern")
    if pattern is not None:
        try:
            SchemaValidator(core_schema.str_schema(pattern=pattern))
        except SchemaError:
            pattern = None
    return core_schema.str_schema(pattern=pattern, **_renamed(schema, _LENGTHS))


def _literal(values: list[Any]) -> Any:
    """One of them; numbers and booleans also as what is coerced into them, as an enum of such does it."""
    kinds: tuple[tuple[type, Any], ...] = (
        (int, core_schema.int_schema()),
        (bool, core_schema.bool_schema()),
        (float, core_schema.float_schema()),
    )
    if not all(isinstance(value, (str, int, float)) or value is None for value in values):
        return _ANY
    if all(isinstance(value, str) for value in values):
        return core_schema.literal_schema(values)
    choices: list[Any] = [
        core_schema.chain_schema([made, core_schema.literal_schema(of_kind)])
        for kind, made in kinds
        if (of_kind := [value for value in values if type(value) is kind])
    ]
    if texts := [value for value in values if isinstance(value, str)]:
        choices.append(core_schema.literal_schema(texts))
    if None in values:
        choices.append(core_schema.none_schema())
    if len(choices) == 1:
        return choices[0]
    return core_schema.union_schema([(each, f"{_UNION}{i}") for i, each in enumerate(choices)])


# ── a schema that somebody wrote ─────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1024)
def malformed(schema: bytes) -> str:
    """Why this is no JSON Schema; "": it is one (b"" too, which asks for nothing)."""
    if not schema:
        return ""
    try:
        found = from_json(schema, allow_inf_nan=False)
    except ValueError as error:
        return f"not JSON: {error}"
    problems = wrong_schema(found)
    return "; ".join(f"{path}: {words}" if path else words for path, words in problems)


def wrong_schema(schema: Any) -> list[Problem]:
    """Every problem of a JSON Schema, each with its path in it."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # late: 4 MB, 100 ms of CPU

    if not isinstance(schema, (dict, bool)):
        return [("", "a JSON Schema is an object")]
    try:
        return _all(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema))
    except RecursionError:
        return [("", "it is nested too deeply")]


def misfits(value: Any, schema: Any, *, strict: bool = False) -> list[Problem]:
    """What is wrong with a value by a JSON Schema, each with its path; where the schema itself does not hold nothing, or
    with `strict` that.

    A `$ref` to another document is not fetched: a schema comes with a request, and must not make a node ask other servers.
    """
    from jsonschema import Draft202012Validator
    from referencing import Registry

    try:
        return _all(Draft202012Validator(schema, registry=Registry()).iter_errors(value))
    except Exception as error:  # noqa: BLE001  # references that lead nowhere, patterns that are none: no common type
        return [("", f"the schema cannot be used: {error}")] if strict else []


def _all(errors: Iterable[Any]) -> list[Problem]:
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    found = []
    for error in sorted(errors, key=lambda each: [str(part) for part in each.absolute_path]):
        one = best_match([error]) if error.context else error  # of anyOf: the branch that came nearest
        found.append((path_of(one.absolute_path).removeprefix("."), one.message))
    return list(dict.fromkeys(found))


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def path_of(parts: Iterable[Any]) -> str:
    """`.items[2].price`"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def below(path: str, inner: str) -> str:
    """A path inside of what another path leads to."""
    return path + (inner if inner.startswith("[") or not inner else f".{inner}")


def described(item: Mapping[str, Any]) -> str:
    """One of pydantic's errors: `input should be a valid string, got 7`."""
    message = item["msg"][:1].lower() + item["msg"][1:]
    return message if item["type"] in ("missing", "json_invalid") else f"{message}, got {shown(item['input'])}"


def shown(value: object) -> str:
    """At most 40 characters of a value."""
    if isinstance(value, types.CoroutineType):
        return f"a coroutine of {value.__qualname__}: an await is missing"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
