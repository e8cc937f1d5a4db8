# SPDX-License-Identifier: Apache-2.0
"""Payloads: what each type looks like on the wire, and what the sender is told whose value does not fit."""

from __future__ import annotations

import enum
import json
import math
import socket
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
import typing_extensions
from pydantic import BaseModel, Field, computed_field

from nervenet.payloads import ANY, Codec, InvalidPayload, PayloadTooLarge, check_size
from nervenet.records import NOTHING, Payload


@dataclass
class Turn:
    role: str
    text: str


class Doc(BaseModel):
    name: str
    pages: int = 1


class Named(BaseModel):
    size: int = Field(alias="byteSize")

    @computed_field
    def double(self) -> int:
        return self.size * 2


class Colour(enum.Enum):
    RED = "red"


class Old(typing.TypedDict, total=False):
    a: typing.Required[int]
    b: str


class New(typing_extensions.TypedDict):
    a: int


@dataclass
class Later:
    turn: Defined  # type: ignore[name-defined]  # noqa: F821  # the test defines it


ROUND_TRIPS: list[tuple[Any, Any, bytes]] = [
    (str, "hé", '"hé"'.encode()),
    (int, 2**70 + 1, b"1180591620717411303425"),
    (float, 0.1, b"0.1"),
    (bool, True, b"true"),
    (list[Turn], [Turn("user", "hi")], b'[{"role":"user","text":"hi"}]'),
    (Doc, Doc(name="a"), b'{"name":"a","pages":1}'),
    (Named, Named(byteSize=2), b'{"byteSize":2}'),
    (Old, {"a": 1, "b": "x"}, b'{"a":1,"b":"x"}'),
    (list[Old] | None, [{"a": 1}], b'[{"a":1}]'),
    (Annotated[dict[str, Old], "x"], {"k": {"a": 1}}, b'{"k":{"a":1}}'),
    (New, {"a": 1}, b'{"a":1}'),
    (Doc | None, None, b"null"),
    (Colour, Colour.RED, b'"red"'),
    (Literal["a", "b"], "b", b'"b"'),
    (tuple[int, str], (1, "x"), b'[1,"x"]'),
    (datetime, datetime(2024, 1, 2, tzinfo=UTC), b'"2024-01-02T00:00:00Z"'),
    (uuid.UUID, uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    (Decimal, Decimal("1.10"), b'"1.10"'),
    (list[bytes], [b"\xff"], b'["_w=="]'),
    (Any, {"a": [1, None, 2**60]}, b'{"a":[1,null,1152921504606846976]}'),
]


@pytest.mark.parametrize(("type_", "value", "data"), ROUND_TRIPS, ids=[str(t) for t, _, _ in ROUND_TRIPS])
def test_values_travel_as_plain_json_and_come_back_equal(type_: Any, value: Any, data: bytes) -> None:
    codec = Codec.of(type_)
    assert codec.encode(value) == Payload("json", data)
    assert codec.decode(Payload("json", data)) == value
    assert isinstance(json.loads(codec.schema()), dict)


def test_bytes_travel_raw_and_nothing_as_nothing() -> None:
    assert Codec.of(bytes).encode(b"\xff") == Payload("bytes", b"\xff")
    assert Codec.of(bytes | None).encode(b"\xff") == ANY.encode(b"\xff") == Payload("bytes", b"\xff")
    assert Codec.of(bytes | None).decode(Payload("bytes", b"\xff")) == b"\xff"
    assert Codec.of(None).encode(None) == NOTHING
    assert Codec.of(None).decode(NOTHING) is Codec.of(None).decode(Payload("json", b"null")) is None
    assert Codec.of(Doc | None).decode(NOTHING) is None


def test_other_languages_may_send_text_bytes_as_base64_and_uris() -> None:
    assert Codec.of(str).decode(Payload("text", "hé".encode())) == "hé"
    assert Codec.of(Colour).decode(Payload("text", b"red")) is Colour.RED
    assert Codec.of(bytes).decode(Payload("json", b'"/w=="')) == b"\xff"
    assert Codec.of(str).decode(Payload("uri", b"s3://bucket/key")) == "s3://bucket/key"


def test_a_value_of_almost_the_type_is_made_one_at_the_call() -> None:
    assert Codec.of(list[int]).encode((1, 2)) == Payload("json", b"[1,2]")  # type: ignore[arg-type]  # on purpose
    assert Codec.of(Doc).encode({"name": "a"}).data == b'{"name":"a","pages":1}'  # type: ignore[arg-type]  # on purpose
    assert math.isnan(Codec.of(float).decode(Codec.of(float).encode(math.nan)))


TURNS = b'[{"role":"a","text":"b"},{"role":"a","text":"b"},{"role":7,"text":"b"}]'


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (
            lambda: Codec.of(list[Turn]).decode(Payload("json", TURNS), "turns"),
            "turns[2].role: input should be a valid",
        ),
        (lambda: Codec.of(str).encode(5), "input should be a valid string, got 5"),  # type: ignore[arg-type]  # on purpose
        (lambda: Codec.of(Doc).decode(Payload("json", b"{"), "doc"), "doc: invalid JSON"),
        (lambda: Codec.of(Doc).decode(Payload("json", b"{}"), "doc"), "doc.name: field required"),
        (lambda: Codec.of(Doc).decode(NOTHING, "doc"), "doc: no value was sent, but Doc is needed"),
        (lambda: Codec.of(Doc).decode(Payload("bytes", b"xy")), "raw bytes were sent (2 of them), Doc is needed"),
        (
            lambda: Codec.of(Doc).decode(Payload("uri", b"s3://k")),
            "a URI was sent (s3://k), Doc is needed: declare str",
        ),
        (lambda: Codec.of(str).decode(Payload("text", b"\xff")), "not UTF-8 at byte 0"),
        (lambda: Codec.of(None).encode(3), "takes no value, got 3"),  # type: ignore[arg-type]  # on purpose
        (lambda: Codec.of(Turn).encode(Turn("a", 3)), "Turn cannot be written as JSON"),  # type: ignore[arg-type]  # on purpose
        (lambda: ANY.encode(object()), "cannot be written as JSON"),
        (lambda: Codec.of(str).encode("\ud800"), "surrogates not allowed"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(attempt: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        attempt()
    assert said in str(refused.value)


def test_many_problems_are_told_in_one_line() -> None:
    with pytest.raises(InvalidPayload) as refused:
        Codec.of(list[int]).decode(Payload("json", b'["a","b","c","d","e"]'))
    assert str(refused.value).count(";") == 2
    assert str(refused.value).endswith("(and 2 more)")


def test_what_cannot_travel_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TypeError, match="socket cannot be a payload"):
        Codec.of(socket.socket)


def test_a_class_that_is_defined_later_is_found_at_the_first_use() -> None:
    codec = Codec.of(Later)
    globals().pop("Defined", None)
    with pytest.raises(InvalidPayload, match="Defined is not defined"):
        codec.decode(Payload("json", b'{"turn":{"role":"a","text":"b"}}'))
    globals()["Defined"] = Turn
    assert codec.decode(Payload("json", b'{"turn":{"role":"a","text":"b"}}')).turn == Turn("a", "b")


def test_a_payload_above_the_limit_is_refused_with_the_way_out() -> None:
    check_size(Payload("json", b"x" * 1024), 1024, "extract: input")
    with pytest.raises(PayloadTooLarge) as refused:
        check_size(Payload("json", b"x" * 3_355_443), 1 << 20, "extract: input")
    assert str(refused.value) == (
        "extract: input is 3.2 MiB, limit 1 MiB (NERVENET_PAYLOAD_LIMIT); store it and pass a URI."
    )


def test_codecs_are_shared() -> None:
    assert Codec.of(list[Turn]) is Codec.of(list[Turn])
    assert Codec.of(Literal[1]) is not Codec.of(Literal[True])
