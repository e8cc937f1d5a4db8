# SPDX-License-Identifier: Apache-2.0
"""An open question goes out to a webhook or a command: when it is asked, again until it is decided, and past any death."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nervenet.client.raw import RawClient
from tests.services.test_people import asked
from tests.services.world import World
from tests.support.waiting import until

YES = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}, "resolver": "ana"}


class Chat:
    """A webhook's other end: keeps what it was told, and refuses as often as a test says."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.refuse = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/s3cret"

    def _handler(chat) -> type[BaseHTTPRequestHandler]:  # the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refused, chat.refuse = chat.refuse > 0, max(0, chat.refuse - 1)
                if not refused:
                    chat.told.append(json.loads(body))
                    chat.keys.append(self.headers["Idempotency-Key"])
                self.send_response(503 if refused else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()
    thread = threading.Thread(target=chat.server.serve_forever)
    thread.start()
    yield chat
    chat.server.shutdown()
    thread.join()
    chat.server.server_close()


async def answer(raw: RawClient, escalation_id: str) -> None:
    await raw.call("ResolveEscalation", escalation_id=escalation_id, resolution=YES)


async def test_a_webhook_is_told_at_once_and_again_until_somebody_decides(world: World, chat: Chat) -> None:
    raw = await world.raw(await world.node(escalation_hook=chat.url, remind="1s"))
    await asked(raw, "a")
    await until(lambda: len(chat.told) >= 2)
    await answer(raw, "a/ask#1")
    told = len(chat.told)
    assert chat.keys[:2] == ["a/ask#1/0", "a/ask#1/1"]
    first = chat.told[0]
    assert (first["reminder"], first["namespace"]) == (0, world.namespace)
    assert first["escalation"]["escalationId"] == "a/ask#1"
    assert first["escalation"]["question"]["choices"] == ["yes", "no"]

    await asked(raw, "b")  # the time of a further reminder passes: b is told twice, a not once more
    await until(lambda: "b/ask#1/1" in chat.keys)
    assert sum(key.startswith("a/") for key in chat.keys) <= told + 1  # one may have been on its way


async def test_a_hook_that_fails_is_tried_again(world: World, chat: Chat) -> None:
    chat.refuse = 1
    raw = await world.raw(await world.node(escalation_hook=chat.url))
    await asked(raw, "a")
    await until(lambda: chat.told)
    assert chat.keys == ["a/ask#1/0"]


async def test_the_next_owner_reminds_when_the_first_is_gone(world: World, chat: Chat) -> None:
    async with world.serving(escalation_hook=chat.url, remind="2s") as first:
        async with RawClient(world.config(address=first.address)) as raw:
            await asked(raw, "a")
        await until(lambda: chat.told)
        heir = await world.node(escalation_hook=chat.url, remind="2s")
        await first.drain()
    await until(lambda: any(key != "a/ask#1/0" for key in chat.keys))
    await answer(await world.raw(heir), "a/ask#1")


async def test_a_command_reads_the_question_from_its_input(world: World, tmp_path: Path) -> None:
    script = tmp_path / "tell me.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "pathlib.Path(sys.argv[1]).write_text(os.environ['NERVENET_ESCALATION_KEY'] + '\\n' + sys.stdin.read())\n"
    )
    said = tmp_path / "said"
    raw = await world.raw(await world.node(escalation_hook=f"{sys.executable} '{script}' '{said}'"))
    await asked(raw, "a")
    await until(lambda: said.exists() and said.read_text().endswith("}"))
    key, _, body = said.read_text().partition("\n")
    assert (key, json.loads(body)["escalation"]["workflowId"]) == ("a/ask#1/0", "a")


async def test_a_hook_that_never_works_holds_up_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    raw = await world.raw(await world.node(escalation_hook="/nowhere/at/all"))
    await asked(raw, "a")
    await until(lambda: "escalation_hook did not take a/ask#1/0" in caplog.text)
    await answer(raw, "a/ask#1")
    done = await raw.call("GetWorkflow", workflow_id="a", wait={"seconds": 10})
    assert done.workflow.output.value.string_value == "yes"
