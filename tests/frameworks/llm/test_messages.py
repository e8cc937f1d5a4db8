# SPDX-License-Identifier: Apache-2.0
"""What is written into a request is the same in each process and with each release of a type."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from nervenet.errors import NervenetError
from nervenet.integrations.llm import ChatReply, Message, OutputSchema, ToolCall
from nervenet.integrations.llm.agent import OPENAI
from nervenet.payloads import Codec
from tests.support.environment import ROOT, clean_environment

CALL = ToolCall(id="1", name="look")


def text_of(result: object) -> Any:
    return Message.tool(CALL, result).content


class Rain(BaseModel):
    rain: bool


class RainAndWind(BaseModel):
    rain: bool = False
    wind: int = 0


@dataclass
class Place:
    name: str
    tags: set[str] = field(default_factory=set)
    height: int = 0


def test_a_field_that_a_later_release_adds_changes_no_request() -> None:
    recorded = Codec.of(Rain).encode(Rain(rain=False))
    assert text_of(Codec.of(RainAndWind).decode(recorded)) == text_of(Rain(rain=False)) == '{"rain":false}'
    assert text_of([RainAndWind(rain=True, wind=0)]) == '[{"rain":true,"wind":0}]', "what is set is written"
    assert text_of({"at": Place("Oslo", {"b", "a"})}) == '{"at":{"name":"Oslo","tags":["a","b"]}}'


@pytest.mark.parametrize("value", ["rain", {"shops": 2}, ["ä", None, 1.5, (1, 2)], {1: {"x"}}, True])
def test_other_values_are_written_as_ever(value: object) -> None:
    expected = {"rain": "rain", "True": "true"}.get(str(value))
    assert text_of(value) == (
        expected
        or str(value)
        .replace("'", '"')
        .replace("None", "null")
        .replace(" ", "")
        .replace("(1,2)", "[1,2]")
        .replace('{1:{"x"}}', '{"1":["x"]}')
    )


def test_a_set_is_written_in_one_order_in_every_process() -> None:
    program = (
        "from nervenet.integrations.llm import Message, ToolCall\n"
        "print(Message.tool(ToolCall(id='1', name='x'), {'all': set('abcdefgh')}).content)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=clean_environment() | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {'{"all":["a","b","c","d","e","f","g","h"]}\n'}


def test_every_reply_is_a_message_that_an_endpoint_takes() -> None:
    assert ChatReply(refusal="I cannot").message == Message.assistant("I cannot")
    assert ChatReply().message.model_dump() == {"role": "assistant", "content": ""}
    assert "content" not in ChatReply(tool_calls=[CALL]).message.model_dump()


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    animal: Cat | Dog = Field(discriminator="kind")


class Tags(BaseModel):
    tags: set[str]


class Pair(BaseModel):
    pair: tuple[int, str]


def test_strict_is_only_a_schema_that_strict_mode_takes() -> None:
    assert not OutputSchema.of(Tags).strict and not OutputSchema.of(Pair).strict
    owner = OutputSchema.of(Owner)
    assert owner.strict and owner.definition["properties"]["animal"].keys() == {"anyOf", "title"}


def test_another_version_of_the_client_is_refused() -> None:
    with pytest.raises(
        NervenetError, match=r"test_messages\.py:\d+: .* supports the OpenAI client 2 and later, below 4; 1\.99"
    ):
        OPENAI.require("1.99.0")
