# SPDX-License-Identifier: Apache-2.0
"""A browser, and a mesh that has a workflow in each state. Both live as long as the session; each test has a page of its own.

A test that changes a workflow takes one that no other test looks at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from nervenet.dev.servers import Server
from tests.dashboard.states import DESK, Desk, fill, open_desk, poison
from tests.support.mesh import ProcessMesh

WITHIN_MS = 20_000
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
expect.set_options(timeout=WITHIN_MS)


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    folder: Path = tmp_path_factory.mktemp("desk")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url, app=DESK) as found:
        yield found


@pytest.fixture(scope="session")
def opened(mesh: ProcessMesh) -> Desk:
    """The desk, full of workflows."""
    found = open_desk(mesh, nodes=3)

    async def work() -> None:
        await asyncio.gather(fill(mesh), poison(mesh))

    in_a_loop_of_its_own(work)
    return found


def in_a_loop_of_its_own(work: Callable[[], Any]) -> Any:
    """Run a coroutine function while Playwright's own loop stands in this thread: in another thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"], args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        yield found
        found.close()


class Visitor:
    """A person with a browser of their own; what goes wrong on their pages is noted."""

    def __init__(self, browser: Browser, address: str, name: str = "", **options: Any) -> None:
        self.context = browser.new_context(viewport=options.pop("viewport", DESKTOP), timezone_id="UTC", **options)
        self.address = address
        self.problems: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(WITHIN_MS)
        self.page.on("pageerror", self._failed)
        self.page.on("console", self._said)
        if name:
            self.context.add_init_script(f"localStorage.setItem('nervenet.person', {name!r})")

    def _failed(self, error: Error) -> None:
        self.problems.append(f"{error.message}\n{error.stack}")

    def _said(self, message: ConsoleMessage) -> None:
        # What a node refuses is shown on the page; Chromium writes it down too.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def open(self, place: str) -> Page:
        self.page.goto(f"{self.address}/#/{place}")
        return self.page


@pytest.fixture
def visitors(browser: Browser, opened: Desk) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors. At the end none of their pages may have had an error."""
    made: list[Visitor] = []

    def visit(name: str = "", **options: Any) -> Visitor:
        made.append(Visitor(browser, options.pop("address", opened.address), name, **options))
        return made[-1]

    yield visit
    for each in made:
        each.context.close()
    assert [problem for each in made for problem in each.problems] == []


@pytest.fixture
def visitor(visitors: Callable[..., Visitor]) -> Visitor:
    return visitors()
