# SPDX-License-Identifier: Apache-2.0
"""Errors of models: which are sent again, what the run catches, and what the journal does not contain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAuthenticationError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelRateLimitError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel

from nervenet import CallFailed, Context, Mesh
from nervenet.integrations.pydantic_ai import durable_agent
from tests.frameworks.pydantic_ai.kit import handled

KEY = "sk-secret-abcdef123"


def failing(make: Callable[[], Exception], sent: list[Any]) -> FunctionModel:
    def fail(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
        sent.append(1)
        raise make() from RuntimeError(f"the client refuses {KEY}")

    return FunctionModel(fail)


def caught(model: Any, folder: Path) -> tuple[Exception, str]:
    """What the workflow catches, and the journal as text."""
    mesh, errors = Mesh("m"), list[Exception]()
    desk = durable_agent(mesh, Agent(model), name="d", stream=False)

    @mesh.workflow
    async def run(ctx: Context, question: str) -> str:
        try:
            return (await desk.run(ctx, question)).output
        except Exception as error:  # noqa: BLE001  # whatever it is, the test looks at it
            errors.append(error)
            return str(error)

    ran = handled(desk).run(run, "hi")
    assert ran.result
    ran.journal.dump(folder / "journal.json")
    return errors[-1], (folder / "journal.json").read_text()


def refused(status: int, body: Any) -> ModelHTTPError:
    return ModelHTTPError.for_category(ModelAuthenticationError, status_code=status, model_name="gpt", body=body)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ModelHTTPError(401, "gpt", {"message": f"Incorrect API key provided: {KEY}"}),
        lambda: refused(403, {"message": f"Incorrect API key provided: {KEY}"}),
    ],
)
def test_a_refused_key_is_not_in_the_journal(make: Callable[[], Exception], tmp_path: Path) -> None:
    sent: list[Any] = []
    error, journal = caught(failing(make, sent), tmp_path)
    assert isinstance(error, ModelHTTPError) and error.status_code in (401, 403)
    assert isinstance(error, ModelAuthenticationError) is isinstance(make(), ModelAuthenticationError)
    assert "give the agent process a valid key and start it again" in str(error)
    assert KEY not in journal and len(sent) == 1


def test_a_key_in_a_group_of_fallbacks_is_not_in_the_journal(tmp_path: Path) -> None:
    sent: list[Any] = []
    model = FallbackModel(
        failing(lambda: ModelHTTPError(401, "gpt", KEY), sent), failing(lambda: refused(403, KEY), sent)
    )
    error, journal = caught(model, tmp_path)
    assert isinstance(error, FallbackExceptionGroup) and KEY not in journal and len(sent) == 2
    first, second = error.exceptions
    assert isinstance(first, ModelHTTPError) and isinstance(second, ModelAuthenticationError)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: UnexpectedModelBehavior("odd answer", "<html>"), UnexpectedModelBehavior, "odd answer, body:\n<html>"),
        (lambda: ContentFilterError("filtered"), ContentFilterError, "filtered"),
        (lambda: ValueError("bug"), CallFailed, "ValueError: bug"),
        (
            lambda: ModelHTTPError.for_category(
                ModelContextWindowExceededError, status_code=400, model_name="gpt", body="too long"
            ),
            ModelContextWindowExceededError,
            "too long",
        ),
    ],
)
def test_an_error_that_stays_is_sent_once(
    make: Callable[[], Exception], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    sent: list[Any] = []
    error, _ = caught(failing(make, sent), tmp_path)
    assert isinstance(error, kind) and words in str(error)
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (
            lambda: ModelHTTPError.for_category(
                ModelRateLimitError, status_code=429, model_name="gpt", body="slow down"
            ),
            ModelRateLimitError,
        ),
        (lambda: ConnectionError("no route"), CallFailed),
    ],
)
def test_an_error_that_may_pass_is_sent_again(
    make: Callable[[], Exception], kind: type[Exception], tmp_path: Path
) -> None:
    sent: list[Any] = []
    error, _ = caught(failing(make, sent), tmp_path)
    assert isinstance(error, kind) and len(sent) > 1
