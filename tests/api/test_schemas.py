# SPDX-License-Identifier: Apache-2.0
"""What a process without the type can say of a payload: never more than the code's own decoder would refuse."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    Json,
    RootModel,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from nervenet.payloads import Codec, InvalidPayload
from nervenet.records import NOTHING, Payload
from nervenet.schemas import MORE, fit, malformed, misfits


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Mixed(Enum):
    A = 1
    B = "b"
    C = None
    D = 1.5
    E = True


class Lenient(Enum):
    ON = "on"

    @classmethod
    def _missing_(cls, value: object) -> Lenient | None:
        return cls.ON if value == 1 else None


class Item(BaseModel):
    name: str = Field(min_length=1, max_length=5, description="how it is called")
    price: Decimal = Decimal(0)
    count: int = Field(default=1, ge=0, lt=10)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Item] = Field(min_length=1)
    note: str | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    who: str = Field(alias="WHO")


class Chosen(BaseModel):
    who: str = Field(validation_alias=AliasChoices("who", "name"))


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    code: str = Field(max_length=2)


class Numbers(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    code: str


class Split(BaseModel):
    parts: list[str]

    @field_validator("parts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value


class Wrapped(BaseModel):
    value: int

    @model_validator(mode="before")
    @classmethod
    def _wrap(cls, data: Any) -> Any:
        return {"value": data} if isinstance(data, int) else data


class Lying(BaseModel):
    value: Annotated[int, WithJsonSchema({"type": "string"})]
    other: int = Field(default=1, json_schema_extra={"type": "string"})


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Node(BaseModel):
    value: int
    next: Node | None = None


@dataclass
class Point:
    x: int
    y: float = 0.0
    tags: set[str] = field(default_factory=set)


class Row(TypedDict, total=False):
    a: int
    b: Annotated[list[int], Field(max_length=2)]


class Pair(NamedTuple):
    left: int
    right: str = ""


Tree = RootModel[dict[str, list[int]]]

TYPES: list[Any] = [
    *(
        int,
        float,
        bool,
        str,
        bytes,
        Decimal,
        date,
        datetime,
        time,
        timedelta,
        UUID,
        Path,
        IPv4Address,
        AnyUrl,
        ByteSize,
    ),
    *(Colour, Level, Mixed, Lenient, Item, Strict, Aliased, Chosen, Stripped, Numbers, Split, Wrapped, Lying, Node),
    *(Point, Row, Pair, Tree, SecretStr, Base64Bytes, Json[int], Any, None),
    *(list[int], set[int], frozenset[str], tuple[int, str], tuple[int, ...], deque[int], Sequence[int], dict[str, int]),
    *(dict[int, float], int | str, int | None, bytes | None, list[int | None], Literal[1, "a"], Literal["a", "b"]),
    *(Literal[True], Cat | Dog, Annotated[Cat | Dog, Field(discriminator="kind")], list[Item | int]),
    *(
        Annotated[int, Field(gt=2, multiple_of=3)],
        Annotated[str, Field(pattern="^a+$")],
        Annotated[set[int], Field(max_length=1)],
    ),
    *(
        Annotated[int, BeforeValidator(len)],
        Annotated[int, AfterValidator(abs)],
        Annotated[list[int], BeforeValidator(list)],
    ),
    Annotated[Decimal, Field(ge=1, max_digits=3)],
    Annotated[bytes, Field(max_length=3)],
    Annotated[str, Field(max_length=3)] | int,
]

SCALARS: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        3,
        -1,
        10**20,
        1.0,
        1.5,
        6,
        "1",
        "3",
        "1.5",
        "true",
        "a",
        "aaa",
        "b",
        "red",
        "on",
        "cat",
        "",
        " ",
    ),
    *(
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        "12:30",
        "P1D",
        "1e5",
        "NaN",
        "aGVsbG8=",
        "127.0.0.1",
        "http://a.b",
        "1 kB",
        "[1]",
    ),
    *("12345678-1234-5678-1234-567812345678", 1700000000, "abcdef", "  ab  ", "a,b"),
]
NAMES = ["name", "price", "count", "items", "note", "who", "WHO", "code", "parts", "value", "other", "kind", "lives"]
NAMES += ["next", "x", "y", "tags", "a", "b", "left", "right"]


def made(dice: random.Random, depth: int = 3) -> Any:
    """Any JSON, of the names and values that our types know."""
    what = dice.random()
    if depth == 0 or what < 0.5:
        return dice.choice(SCALARS)
    if what < 0.7:
        return [made(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {dice.choice(NAMES): made(dice, depth - 1) for _ in range(dice.randrange(4))}


def near(dice: random.Random, schema: Any, known: Any, depth: int = 4) -> Any:
    """Mostly what the schema describes, so that much of it is accepted."""
    if depth == 0 or not isinstance(schema, dict) or dice.random() < 0.1:
        return made(dice, 2)
    if "$ref" in schema:
        return near(dice, known.get(schema["$ref"].rpartition("/")[2]), known, depth)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return near(dice, dice.choice(schema[word]), known, depth)
    if "enum" in schema or "const" in schema:
        return dice.choice(schema.get("enum") or [schema.get("const")])
    if schema.get("type") == "object":
        needed, more = schema.get("required", ()), schema.get("additionalProperties")
        named = {
            n: near(dice, s, known, depth - 1)
            for n, s in schema.get("properties", {}).items()
            if n in needed or dice.random() < 0.5
        }
        return named | ({"1": near(dice, more, known, depth - 1)} if isinstance(more, dict) else {})
    if schema.get("type") == "array":
        each = schema.get("prefixItems") or [schema.get("items")] * dice.randrange(1, 3)
        return [near(dice, one, known, depth - 1) for one in each]
    return dice.choice(SCALARS)


def accepted(codec: Codec[Any], payload: Payload) -> bool:
    try:
        codec.decode(payload)
    except (InvalidPayload, TypeError):
        return False
    return True


@pytest.mark.parametrize("seed", [5150])
def test_what_the_decoder_accepts_is_never_refused(seed: int) -> None:
    dice, both, refused = random.Random(seed), 0, 0
    for type_ in TYPES:
        codec: Codec[Any] = Codec.of(type_)
        text = codec.schema().decode()
        schema, check = json.loads(text), fit(text)
        values = [
            *SCALARS,
            *(made(dice) for _ in range(150)),
            *(near(dice, schema, schema.get("$defs", {})) for _ in range(150)),
        ]
        payloads = [Payload("json", json.dumps(value).encode()) for value in values]
        for payload in (
            *payloads,
            NOTHING,
            Payload("bytes", b"raw"),
            Payload("text", b"aaa"),
            Payload("uri", b"s3://a/b"),
        ):
            wrong = check.problems(payload, "input") if check is not None else []
            right = accepted(codec, payload)
            assert not (right and wrong), f"seed {seed}: {type_} takes {payload}, but: {wrong}"
            both, refused = both + right, refused + bool(wrong)
    assert both > 3_000 and refused > 5_000, (both, refused)


class Order(BaseModel):
    items: list[Item]
    pay: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    next: Order | None = None


def test_every_problem_is_told_with_its_path() -> None:
    check = fit(Codec.of(Order).schema().decode())
    assert check is not None
    given = {
        "items": [{"name": "tea"}, {"name": "gingerbread", "count": "many"}],
        "pay": {"kind": "cow"},
        "next": {"items": [{}]},
    }
    assert check.problems(Payload("json", json.dumps(given).encode()), "input") == [
        ("input.items[1].name", "string should have at most 5 characters, got 'gingerbread'"),
        ("input.items[1].count", "input should be a valid integer, unable to parse string as an integer, got 'many'"),
        ("input.pay", "an object is needed whose 'kind' is 'cat' or 'dog', got {'kind': 'cow'}"),
        ("input.next.items[0].name", "field required"),
    ]
    assert check.problems(NOTHING, "input") == [("input", "no value is given: input should be an object, got None")]
    assert check.problems(Payload("bytes", b"tea"), "input") == [
        ("input", "raw bytes (3 of them), a JSON value is needed")
    ]


def test_where_the_code_accepts_more_the_schema_says_so() -> None:
    schema = json.loads(Codec.of(Split).schema())
    assert schema["properties"]["parts"][MORE] is True and MORE not in schema
    assert json.loads(Codec.of(Aliased).schema())[MORE] is True


@pytest.mark.parametrize(
    "text", ["", "{", "7", '{"type": 7}', '{"$ref": "#/$defs/gone"}', '{"allOf": 1}', "[" * 100_000]
)
def test_what_is_no_schema_checks_nothing(text: str) -> None:
    assert fit(text) is None


def test_a_schema_that_somebody_wrote_is_taken_as_it_says() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "to": {"anyOf": [{"type": "string"}]}},
        "required": ["n"],
    }
    assert misfits({"n": 1}, schema) == []
    assert misfits({"n": "1", "to": 2}, schema) == [
        ("n", "'1' is not of type 'integer'"),
        ("to", "2 is not of type 'string'"),
    ]
    assert misfits(1, {"$ref": "#/nowhere"}) == misfits("a", {"pattern": "("}) == []
    assert malformed(b"") == malformed(json.dumps(schema).encode()) == ""
    assert malformed(b'{"type": "strnig"}') == "type: 'strnig' is not valid under any of the given schemas"
    assert malformed(b"{").startswith("not JSON: ") and malformed(b"7") == "a JSON Schema is an object"
    assert malformed(b'{"type": 7, "required": "n"}').count(";") == 1
