# SPDX-License-Identifier: Apache-2.0
"""Every refusal of the mesh has an exit code, a sentence for people and a google.rpc.Status for programs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from nervenet import errors
from nervenet.cli.failures import Refused, StillRunning, UsageError, exit_code, report, status


def _overloaded() -> errors.Overloaded:
    error = errors.Overloaded(
        "the node is full", code="RESOURCE_EXHAUSTED", reason="NODE_FULL", metadata={"node": "n-1"}
    )
    error.retry_after = timedelta(milliseconds=1500)
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 2),
        (errors.ConfigError("no"), 2),
        (errors.InvalidRequest("no", code="INVALID_ARGUMENT"), 2),
        (errors.Overloaded("too large", code="RESOURCE_EXHAUSTED", reason="PAYLOAD_TOO_LARGE"), 2),
        (errors.NotFound("no", code="NOT_FOUND"), 3),
        (errors.AlreadyExists("no", code="ALREADY_EXISTS"), 4),
        (errors.AlreadyClosed("no", code="FAILED_PRECONDITION"), 4),
        (errors.PreconditionFailed("no", code="FAILED_PRECONDITION"), 4),
        (Refused("no"), 4),
        (errors.Unavailable("no", code="UNAVAILABLE"), 5),
        (_overloaded(), 6),
        (StillRunning("no"), 7),
        (KeyboardInterrupt(), 130),
        (errors.NervenetError("no"), 1),
        (ZeroDivisionError("no"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(error) == code
    assert report(error) == code
    assert "Traceback" not in capsys.readouterr().err


def test_json_gives_the_status_with_its_details(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(_overloaded(), ["list", "--json"]) == 6
    found = json.loads(capsys.readouterr().err)
    assert (found["code"], found["message"]) == (8, "the node is full")
    info, retry = found["details"]
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "NODE_FULL",
        "domain": "nervenet",
        "metadata": {"node": "n-1"},
    }
    assert retry["retryDelay"] == "1.5s"


def test_wrong_fields_are_named() -> None:
    error = errors.InvalidRequest("bad", code="INVALID_ARGUMENT", reason="INVALID_FIELD")
    error.fields = (("workflow_id", "has a brace"),)
    assert status(error)["details"][1]["fieldViolations"] == [{"field": "workflow_id", "description": "has a brace"}]


def test_only_verbose_shows_where_a_bug_is(capsys: pytest.CaptureFixture[str]) -> None:
    report(ZeroDivisionError("division by zero"))
    quiet = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in quiet and "Run it again with -v" in quiet
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        report(error, ["-v"])
    assert "Traceback" in capsys.readouterr().err
