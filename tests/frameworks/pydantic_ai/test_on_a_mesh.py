# SPDX-License-Identifier: Apache-2.0
"""Tokens for watchers, retries that wait as long as the provider says, and errors of a model, on real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

from nervenet import WorkflowFailed
from tests.frameworks.llm_server import Rule, StandIn
from tests.frameworks.pydantic_ai import desk
from tests.support.mesh import ProcessMesh

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str, llm: StandIn) -> Iterator[ProcessMesh]:
    """A node and an agent."""
    app = "tests/frameworks/pydantic_ai/desk.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=app, **llm.environment) as mesh:
        mesh.start(1, 1)
        yield mesh


def text_of(event: Any) -> str:
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""


async def test_tokens_reach_watchers_and_a_cut_answer_begins_again(host: ProcessMesh, llm: StandIn) -> None:
    words = "one two three four five six"
    llm.script(
        Rule("count", status=429, retry_after="1", times=1),
        Rule("count", cut_after=3, times=1, reply=words, token_delay=0.05),
        Rule("count", reply=words, token_delay=0.05),
    )
    async with host.client() as client:
        run = await client.start(desk.chat, "count", id="chat")
        pieces: list[list[str]] = [[]]
        async for kind, data in desk.chat_agent.astream(run):
            if kind == "restart":
                pieces.append([])
            elif kind == "model" and text_of(data):
                pieces[-1].append(text_of(data))
        assert await run.result() == words
    assert "".join(pieces[-1]) == words and len(pieces[-1]) > 3
    assert len(pieces) == 2 and words.startswith("".join(pieces[0]))
    first, second, _ = llm.requests("count")
    assert second.began - first.ended >= 1, "Retry-After is honoured"


async def test_a_request_that_is_refused_is_not_sent_again(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(Rule("bad", status=400, message="no such thing"))
    async with host.client() as client:
        run = await client.start(desk.chat, "bad", id="bad")
        with pytest.raises(WorkflowFailed, match=r"status_code: 400.*no such thing"):
            await run.result(timeout=60)
        caught = await client.run(desk.careful, "bad")
    assert caught == "400 of gpt-5-mini"
    assert len(llm.requests("bad")) == 2, "one for each workflow"
