# SPDX-License-Identifier: Apache-2.0
"""What is decided about a start before anything is written: whether it is one that exists already."""

from __future__ import annotations

import pytest

from nervenet.errors import InvalidRequest, NotFound, Overloaded
from nervenet.node.workflows.start_plan import Existing, StartRequest, has_no_room, judge_existing, request_hash
from nervenet.records import Payload
from nervenet.streams.heads import Head

ADA = Payload("json", b'{"name": "Ada", "age": 36}')


def request(if_exists: str) -> StartRequest:
    return StartRequest("w", "greet", ADA, if_exists=if_exists)


@pytest.mark.parametrize(
    ("if_exists", "closed", "same", "meaning"),
    [
        ("same", False, True, Existing.SAME),
        ("same", True, True, Existing.SAME),
        ("same", False, False, Existing.TAKEN),
        ("same", True, False, Existing.TAKEN),
        ("error", False, True, Existing.TAKEN),
        ("error", True, True, Existing.TAKEN),
        ("restart_if_closed", False, True, Existing.SAME),
        ("restart_if_closed", False, False, Existing.TAKEN),
        ("restart_if_closed", True, True, Existing.RESTART),
        ("restart_if_closed", True, False, Existing.RESTART),  # the next run may have another input
    ],
)
def test_what_a_start_means_where_its_workflow_exists(
    if_exists: str, closed: bool, same: bool, meaning: Existing
) -> None:
    start = request(if_exists)
    head = Head(closed_ms=99 if closed else 0, request_hash=start.hash if same else b"another")
    assert judge_existing(start, start.hash, head) is meaning


def test_two_starts_are_the_same_if_definition_and_input_mean_the_same() -> None:
    same = request_hash("greet", ADA)
    assert request_hash("greet", Payload("json", b'{"age":36,"name":"Ada"}')) == same
    assert request_hash("greet", Payload("json", b'{"age":36,"name":"Eve"}')) != same
    assert request_hash("leave", ADA) != same
    assert request_hash("greet", Payload("bytes", ADA.data)) != same, "the same bytes in another form"
    with pytest.raises(InvalidRequest, match="the input is not JSON"):
        request_hash("greet", Payload("json", b"{"))


def test_a_start_with_an_identity_is_known_by_that_and_not_by_its_input() -> None:
    one = StartRequest("w", "task", Payload("json", b'{"trace": 1}'), identity=ADA)
    other = StartRequest("w", "task", Payload("json", b'{"trace": 2}'), identity=ADA)
    assert one.hash == other.hash == request_hash("task", ADA)


def test_only_what_a_full_mesh_refuses_is_looked_for_among_the_workflows_that_exist() -> None:
    assert has_no_room(Overloaded("", code="RESOURCE_EXHAUSTED", reason="NODE_FULL"))
    assert has_no_room(Overloaded("", code="RESOURCE_EXHAUSTED", reason="MEMORY_FULL"))
    assert not has_no_room(Overloaded("", code="RESOURCE_EXHAUSTED", reason="QUEUE_FULL"))
    assert not has_no_room(NotFound("", code="NOT_FOUND", reason="DEFINITION_NOT_FOUND"))
