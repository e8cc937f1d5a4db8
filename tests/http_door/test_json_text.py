# SPDX-License-Identifier: Apache-2.0
"""Our JSON of messages is that of `json_format`, for every answer of the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import duration_pb2, json_format, struct_pb2, timestamp_pb2

from nervenet.http.json_text import json_text
from nervenet.rpc.methods import METHODS
from nervenet.v1 import task_pb2, workflow_pb2
from tests.fuzz.values import Filler

SEED = 20261128
EACH = 20


def same(message: Any) -> bool:
    """Whether both write the same. What `json_format` refuses (a moment that is none), ours refuses too."""
    try:
        expected = json_format.MessageToDict(message)
    except (ValueError, json_format.Error):
        with pytest.raises((ValueError, json_format.Error)):
            json_text(message)
        return False
    assert json.loads(json_text(message)) == json.loads(json.dumps(expected)), f"seed {SEED}: {message}"
    return True


@pytest.mark.parametrize("path", sorted(METHODS))
def test_answers_filled_at_random(path: str) -> None:
    filler = Filler(f"{SEED} {path}")
    compared = 0
    for _ in range(EACH):
        answer = METHODS[path].answer()
        filler.message(answer)
        compared += same(answer)
    assert compared


@pytest.mark.parametrize("nanos", [0, 1, 1_000, 21_000_000, 999_999_999])
@pytest.mark.parametrize("seconds", [0, 1, 1_764_352_800, 253_402_300_799, -1, -62_135_596_800])
def test_moments(seconds: int, nanos: int) -> None:
    assert same(workflow_pb2.Wait(since_time=timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)))


@pytest.mark.parametrize("nanos", [0, 1, 1_000, 21_000_000, 999_999_999, -5_000_000])
@pytest.mark.parametrize("seconds", [0, 1, -1, 315_576_000_000, 315_576_000_001])
def test_durations(seconds: int, nanos: int) -> None:
    same(task_pb2.Task(queued_duration=duration_pb2.Duration(seconds=seconds, nanos=nanos)))


def test_types_of_google() -> None:
    for message in (
        duration_pb2.Duration(seconds=3, nanos=5_000_000),
        struct_pb2.Struct(fields={}),
        struct_pb2.Value(),
    ):
        try:
            assert json.loads(json_text(message)) == json_format.MessageToDict(message)
        except json_format.SerializeToJsonError:
            with pytest.raises(json_format.SerializeToJsonError):
                json_text(message)
