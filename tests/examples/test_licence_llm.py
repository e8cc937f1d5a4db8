# SPDX-License-Identifier: Apache-2.0
"""The language model's part, against an OpenAI-compatible stand-in on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from examples.licence_audit import llm
from nervenet import AgentError

ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "  A short\n paragraph. "}}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 9},
}


class StandIn(ThreadingHTTPServer):
    status = 200
    headers: dict[str, str] = {}  # noqa: RUF012  # set per test on the instance
    body: object = ANSWER

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None, Any]] = []

    @property
    def endpoint(self) -> llm.Endpoint:
        return llm.Endpoint(f"http://127.0.0.1:{self.server_port}/v1", "tiny", "secret")


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], sent))
        body = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_key_alone_configures_nothing() -> None:
    assert llm.configured({"OPENAI_API_KEY": "secret"}) is None
    assert llm.configured({"OPENAI_BASE_URL": "http://x/v1"}) is None
    chosen = llm.configured({"OPENAI_BASE_URL": "http://x/v1/", "OPENAI_MODEL": "tiny"})
    assert chosen == llm.Endpoint("http://x/v1", "tiny")


def test_the_findings_are_sent_and_the_paragraph_comes_back(stand_in: StandIn) -> None:
    reply = llm.write(stand_in.endpoint, '{"licence": "MIT"}')
    assert reply == llm.Reply("A short paragraph.", 120, 9)
    path, key, sent = stand_in.asked[0]
    assert path == "/v1/chat/completions" and key == "Bearer secret" and sent["model"] == "tiny"
    assert sent["messages"][-1] == {"role": "user", "content": '{"licence": "MIT"}'}


def test_an_overload_is_retried_when_the_endpoint_says(stand_in: StandIn) -> None:
    stand_in.status, stand_in.headers = 429, {"Retry-After": "7"}
    with pytest.raises(AgentError, match="429") as caught:
        llm.write(stand_in.endpoint, "{}")
    assert caught.value.retryable and caught.value.retry_after and caught.value.retry_after.seconds == 7


def test_a_wrong_key_is_not_tried_again(stand_in: StandIn) -> None:
    stand_in.status = 401
    with pytest.raises(AgentError, match="401") as caught:
        llm.write(stand_in.endpoint, "{}")
    assert not caught.value.retryable


def test_an_answer_without_text_and_an_endpoint_that_is_gone_are_retryable_failures(stand_in: StandIn) -> None:
    stand_in.body = {"choices": []}
    with pytest.raises(AgentError, match="without a text"):
        llm.write(stand_in.endpoint, "{}")
    gone = llm.Endpoint("http://127.0.0.1:9/v1", "tiny")
    with pytest.raises(AgentError) as caught:
        llm.write(gone, "{}")
    assert caught.value.retryable
