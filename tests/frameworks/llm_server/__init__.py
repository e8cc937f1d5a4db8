# SPDX-License-Identifier: Apache-2.0
r"""An OpenAI-compatible server that stands in for a model, as a process on loopback. The fixture is `llm`.

    async def test_it(llm: StandIn) -> None:
        llm.script(
            Rule("Oslo", tools=[ToolCall("forecast", {"city": "Oslo"})]),
            Rule("rain", role="tool", reply="Take an umbrella."),
        )
        …  # a client with base_url=llm.base_url, api_key=llm.key, or an environment with llm.environment
        assert llm.paid() == {"Oslo": 1, "rain": 1}

It serves Chat Completions and Responses, each whole or as a stream, with tools, parallel calls and structured output, and
the list of models. What it answers, ids too, depends on the rules and the request alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nervenet.dev.servers import tied
from tests.frameworks.llm_server.rules import Rule as Rule
from tests.frameworks.llm_server.rules import ToolCall as ToolCall
from tests.frameworks.llm_server.rules import as_json
from tests.frameworks.llm_server.server import KEY, MODELS, Record
from tests.support.environment import ROOT

__all__ = ["KEY", "MODELS", "Record", "Rule", "StandIn", "ToolCall", "stand_in"]


class StandIn:
    """A running stand-in, and what a test may tell and ask it. Its calls block for about a millisecond.

    Attributes:
        base_url: What clients get (`OPENAI_BASE_URL`).
        key: The only API key that it takes (`OPENAI_API_KEY`).
        process: The process, for tests that pause or kill it.
    """

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.key = KEY
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._control = f"http://127.0.0.1:{port}/stand-in/"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that send the official client, and the frameworks on it, to this server."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_BASE": self.base_url, "OPENAI_API_KEY": self.key}

    def script(self, *rules: Rule) -> None:
        """Add rules behind those that there are. The first rule that fits a request answers it."""
        self._ask("POST", "rules", as_json(rules))

    def forget(self) -> None:
        """Remove all rules and all requests."""
        self._ask("DELETE", "rules")
        self._ask("DELETE", "requests")

    def release(self) -> None:
        """Let all answers go on which a rule holds (`Rule.hold_after`), now and later."""
        self._ask("POST", "release")

    def requests(self, content: str = "") -> list[Record]:
        """The requests so far, in their order: those whose last message has this text. "": all."""
        found = [Record(**one) for one in self._ask("GET", "requests")]
        return [one for one in found if content in one.content]

    def asked(self) -> Counter[str]:
        """How often each last message was sent, whatever became of it."""
        return Counter(one.content for one in self.requests())

    def paid(self) -> Counter[str]:
        """How often each last message was answered to the end. What a provider bills, at least."""
        return Counter(one.content for one in self.requests() if one.outcome == "complete")

    def paid_twice(self) -> dict[str, int]:
        """The last messages of those requests that were answered to the end more than once with the same content.

        The content is everything that the model sees: model, all messages, tools and schema, but no generated ids.
        """
        done = [one for one in self.requests() if one.outcome == "complete"]
        times = Counter(one.key for one in done)
        return {one.content: times[one.key] for one in done if times[one.key] > 1}

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._control + path, data, method=method)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def stand_in(port: int = 0) -> Iterator[StandIn]:
    """Start a stand-in, and kill it at the end of the block.

    Args:
        port: Where it listens. 0: a free port.
    """
    command = tied([sys.executable, "-m", "tests.frameworks.llm_server", str(port)])
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield StandIn(int(process.stdout.readline()), process)
        finally:
            process.kill()
