# SPDX-License-Identifier: Apache-2.0
"""The page about FastAPI: its `web.py` behind uvicorn, as it says, beside a mesh of the tutorial's `desk.py`."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.docs.blocks import blocks
from tests.support.dev import Dev
from tests.support.environment import ROOT, clean_environment
from tests.support.processes import Process
from tests.support.waiting import wait_until

PAGE, TUTORIAL = ROOT / "docs/howto/fastapi.md", ROOT / "docs/tutorial.md"


def tell(folder: Path) -> None:
    for block in [*blocks(TUTORIAL, "python"), *blocks(PAGE, "python")]:
        if block.file in ("llm.py", "desk.py", "web.py"):  # the second desk.py replaces the first
            (folder / block.file).write_text(block.text, encoding="utf-8")
    with (
        Dev(folder, (folder / "desk.py").read_text(), app="desk.py") as dev,
        _served(folder, dev.address) as url,
        httpx.Client(base_url=url, timeout=30) as browser,
    ):
        assert "uvicorn web:app" in PAGE.read_text(encoding="utf-8")
        started = browser.put("/orders/9/reply")
        assert (started.status_code, started.json()) == (202, {"id": "order-9", "created": True})
        assert browser.put("/orders/9/reply").json() == {"id": "order-9", "created": False}
        with browser.stream("GET", "/orders/9/tokens") as tokens:
            said = ""
            for token in tokens.iter_text():
                said += token
                if "tomorrow" in said:
                    break
        assert said.startswith("Dear customer, your order 9 left")
        waits = {"state": "WAITING_FOR_HUMAN", "view": None}
        wait_until(lambda: browser.get("/orders/9/reply").json() == waits, "the order waits for a human")
        gone = {"detail": "there is no workflow 'order-10' in namespace default"}
        for path in ("/orders/10/reply", "/orders/10/tokens"):
            unknown = browser.get(path)
            assert (unknown.status_code, unknown.json()) == (404, gone)


@contextmanager
def _served(folder: Path, address: str) -> Iterator[str]:
    command = [sys.executable, "-m", "uvicorn", "web:app", "--port", "0"]
    server = Process(command, folder / "uvicorn.log", clean_environment(NERVENET_ADDRESS=address), cwd=folder)
    try:
        yield wait_until(lambda: re.search(r"running on (http://\S+)", server.log), "uvicorn serves", 30, server)[1]
    finally:
        server.kill(signal.SIGTERM)
        server.wait(15)
    assert "Traceback" not in server.log, server.log
