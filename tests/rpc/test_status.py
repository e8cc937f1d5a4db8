# SPDX-License-Identifier: Apache-2.0
"""Refusals over the wire and back: nothing that helps the caller gets lost."""

from __future__ import annotations

from datetime import timedelta

import grpc
import grpc.aio
import pytest

from nervenet import errors
from nervenet.rpc.status import (
    already_closed,
    error_of,
    from_outcome,
    invalid,
    not_found,
    not_yet,
    status_of,
    to_outcome,
)


def over_the_wire(error: errors.RequestError) -> errors.RequestError:
    code, words, trailers = status_of(error)
    metadata = grpc.aio.Metadata(*trailers)
    return error_of(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, words), "here:1")


@pytest.mark.parametrize(
    "error",
    [
        invalid("requests[2].workflow_id", "no braces"),
        not_found("workflow", "w"),
        already_closed("escalation", "w/ask#1", "ana was faster", resolver="ana"),
        not_yet("later"),
        errors.AlreadyExists("taken", code="ALREADY_EXISTS", reason="WORKFLOW_EXISTS", metadata={"state": "RUNNING"}),
        errors.PreconditionFailed("no", code="FAILED_PRECONDITION", reason="AGENT_DRAINING"),
        errors.Unauthorized("who?", code="UNAUTHENTICATED", reason="BAD_TOKEN"),
        errors.Unauthorized("where?", code="PERMISSION_DENIED", reason="WRONG_NAMESPACE"),
        errors.Overloaded("full", code="RESOURCE_EXHAUSTED", reason="NODE_FULL"),
        errors.Unavailable("away", code="UNAVAILABLE", reason="BACKEND_DOWN"),
    ],
    ids=lambda error: error.reason,
)
def test_a_refusal_arrives_as_it_was_raised(error: errors.RequestError) -> None:
    for arrived in (over_the_wire(error), from_outcome(to_outcome(error))):
        assert type(arrived) is type(error)
        assert (arrived.code, arrived.reason, arrived.message) == (error.code, error.reason, error.message)
        assert arrived.metadata == error.metadata
    assert tuple(over_the_wire(error).fields) == tuple(error.fields)


def test_what_passes_says_when_to_come_again() -> None:
    full = errors.Overloaded("full", code="RESOURCE_EXHAUSTED", reason="NODE_FULL")
    assert over_the_wire(full).retry_after == timedelta(seconds=1)
    full.retry_after = timedelta(seconds=7)
    assert over_the_wire(full).retry_after == from_outcome(to_outcome(full)).retry_after == timedelta(seconds=7)
    assert over_the_wire(not_found("workflow", "w")).retry_after is None


def test_a_status_without_our_details_is_about_the_way() -> None:
    empty = grpc.aio.Metadata()
    broken = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty, "connection refused")
    error = error_of(broken, "here:1")
    assert isinstance(error, errors.Unavailable) and error.reason == "" and "here:1" in error.message


def test_a_stream_that_broke_while_it_was_written_to_is_a_broken_way_too() -> None:
    """grpc.aio calls that INTERNAL; it happens when a node is killed, and the next one has the answer."""
    empty = grpc.aio.Metadata()
    broken = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, empty, empty, "Internal error from Core")
    assert isinstance(error_of(broken, "here:1"), errors.Unavailable)
    ours = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, empty, empty, "Exception deserializing response!")
    assert not isinstance(error_of(ours, "here:1"), errors.Unavailable)
