# SPDX-License-Identifier: Apache-2.0
"""How values travel: everything comes back as it was, equal values are equal bytes, and upgrades change no byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel, Field

from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.refusals import NotEncodable
from nervenet.payloads import Codec
from tests.support.environment import ROOT


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int = 0


class Leg(BaseModel):
    to: str
    by: Colour = Colour.RED
    stops: list[Point] = Field(default_factory=list)


class Aliased(BaseModel):
    name: str = Field(alias="theName")


@dataclass
class Trip:
    legs: list[Leg]
    notes: dict[str, Any] = field(default_factory=dict)
    length: int = 0
    total: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.total = self.length * 2


@dataclass(frozen=True, slots=True)
class Fixed:
    x: tuple[int, ...] = ()


VALUES = Values([Colour, Level, Point, Leg, Aliased, Trip, Fixed])
ANY: Codec[Any] = Codec.of(Any)


def travelled(value: Any) -> Any:
    """Through the bytes of nervenet's own payloads."""
    return VALUES.decode(ANY.decode(ANY.encode(VALUES.encode(value))))


CALLS = [{"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]
EVERYTHING = [
    None, True, 0, -1, 2**200, 1.5, float("inf"), "", "ä😀\0", b"\0\xff",
    [], [1, [2]], (), (1, (2, [3])), {"a": {"b": ()}}, {1: "one", (2, 3): "pair", None: 0}, {"~": "tuple", "items": 1},
    {1, 2}, frozenset({"a"}), {("a", 1), ("b", 2)}, deque([1, 2], maxlen=5), Counter("aab"), OrderedDict(b=1, a=2),
    defaultdict(list, {"x": [1]}), datetime(2026, 1, 2, 3, 4, 5, 6, UTC), datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 1, 2),  # noqa: DTZ001
    date(2026, 1, 2), time(3, 4, 5), timedelta(days=-1, microseconds=7), UUID(int=7), Decimal("1.10"), PurePosixPath("/a/b"),
    Colour.RED, Level.LOW, Point(1), Leg(to="Oslo"), Leg(to="Rome", stops=[Point(1, 2)]), Trip([Leg(to="x")], {"k": (1,)}, 4), Fixed((1, 2)),
    Aliased(theName="n"),
    HumanMessage("hi"), SystemMessage("s", id="7"), AIMessage("", tool_calls=CALLS, usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    ToolMessage("3", tool_call_id="c1", artifact={"x": (1, 2)}, status="error"), ChatMessage("x", role="judge"), RemoveMessage(id="9"),
    AIMessageChunk("par", id="run-1"), HumanMessage([{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}], name="ana"),
    Document("text", metadata={"page": 1}),
    Command(goto="a", update={"m": [("ai", "x")]}), Command(graph=Command.PARENT, goto=[Send("n", (1,)), "b"]), Command(update=[("a", 1)]),
    Send("n", {"x": Point(3)}), Overwrite([1]),
]  # fmt: skip


@pytest.mark.parametrize("value", EVERYTHING, ids=[f"{n}-{type(value).__name__}" for n, value in enumerate(EVERYTHING)])
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = travelled({"it": [value]})["it"][0]
    assert type(back) is type(value) and back == value
    assert VALUES.encode(back) == VALUES.encode(value)
    if isinstance(value, BaseMessage):
        assert back.model_dump() == value.model_dump()


def test_nan_and_subclasses_of_texts_and_numbers() -> None:
    assert travelled(float("nan")) != travelled(float("nan"))
    text = AIMessage("hello").text
    assert travelled({"text": text}) == {"text": "hello"}


def test_equal_sets_are_equal_bytes_in_every_process() -> None:
    code = (
        "import json, sys; sys.path[:0] = ['python', '.']\n"
        "from nervenet.integrations.langgraph.codec import Values\n"
        "print(json.dumps(Values([]).encode({'s': {'b', 'a', 'c', ('x', 1)}, 'f': frozenset({'z', 'y'})})))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_a_class_is_never_imported_by_name() -> None:
    for tag in ("object", "enum", "named"):
        with pytest.raises(NotEncodable, match=r"subprocess:Popen is not among the classes of this graph"):
            VALUES.decode(
                {"~": tag, "type": "subprocess:Popen", "fields": {"args": ["true"]}, "name": "x", "items": []}
            )
    with pytest.raises(NotEncodable, match="no message"):
        VALUES.decode({"~": "message", "type": "AnyMessage", "fields": {}})
    with pytest.raises(NotEncodable, match="the tag 'pickle' is not known here"):
        VALUES.decode({"~": "pickle", "value": ""})


def test_a_value_that_contains_itself() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(NotEncodable, match="contains itself"):
        VALUES.encode(ring)


def test_defaults_do_not_travel() -> None:
    assert VALUES.encode(AIMessage("x")) == {"~": "message", "type": "AIMessage", "fields": {"content": "x"}}
    assert VALUES.encode(Leg(to="Oslo"))["fields"] == {"to": "Oslo"}
    assert VALUES.encode(Trip([]))["fields"] == {"legs": []}


def test_a_field_that_a_later_release_adds_changes_no_byte() -> None:
    """The same name and module, with two new fields that have defaults: what was written decodes, and is written alike."""

    class Newer(BaseModel):
        to: str
        by: Colour = Colour.RED
        stops: list[Point] = Field(default_factory=list)
        seat: str = "window"
        extras: list[str] = Field(default_factory=list)

    Newer.__module__, Newer.__qualname__ = Leg.__module__, Leg.__qualname__
    newer = Values([Colour, Point, Newer])
    written = VALUES.encode({"legs": [Leg(to="Oslo"), Leg(to="Rome", stops=[Point(1)])]})
    read = newer.decode(json.loads(json.dumps(written)))
    assert read["legs"][0].seat == "window" and read["legs"][1].extras == []
    assert newer.encode(read) == written
