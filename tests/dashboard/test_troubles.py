# SPDX-License-Identifier: Apache-2.0
"""Every kind of trouble (`tests/answers/troubles.py`) as the page shows it: in the words of `nervenet list` and `nervenet show`.

What happens when Redis or etcd is gone, or a node is full, is in `test_outages.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import TimeoutError as NotSeen

from nervenet.dev.servers import Server
from tests.answers.troubles import APP, FAILS, STATES, make_trouble
from tests.dashboard.conftest import Visitor, in_a_loop_of_its_own
from tests.support.mesh import ProcessMesh

pytestmark = pytest.mark.timeout(300)
SHOWN = {
    "signal wait": "waits for signal paid, … s",
    "sleep": "sleeps until …:…",
    "human": "Send it? (due in 7 d)",
    "queue without agent": "Start an agent that serves fetch: nervenet agent APP --only fetch",
    "hung handler": "10 %, silent for … s",
    "retry": "in … after RateLimited: 429 from api (attempt 2 of 5)",
    "blocked by a programming error": "KeyError: 'cake'",
    "poisoned record": "its journal is damaged: entry … signal:paid cannot be read. Nothing else is affected.",
}
"""What the page of a workflow in this state says."""


def pattern(words: str) -> re.Pattern[str]:
    """`…` is any text; cells have no spaces between them."""
    return re.compile(
        r".*".join(re.escape(part.strip()).replace(r"\ ", r"\s*") for part in words.split("…")), re.DOTALL
    )


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    folder: Path = tmp_path_factory.mktemp("troubles")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url, app=APP) as mesh:
        mesh.up(mesh.node("", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"))
        mesh.up(
            mesh.agent("--only", "crawl,ask_model", "--name", "crawler"),
            mesh.agent("--only", "scan", "--name", "broken", BROKEN="1"),
            mesh.agent("--only", "scan", "--name", "fine"),
        )
        in_a_loop_of_its_own(lambda: make_trouble(mesh, shared_valkey))
        yield mesh


@pytest.fixture
def visitor(browser: Browser, mesh: ProcessMesh) -> Iterator[Visitor]:
    """Somebody who looks at a mesh with all of these troubles."""
    found = Visitor(browser, f"http://{mesh.nodes[0].http}")
    yield found
    found.context.close()
    assert found.problems == []


def row(visitor: Visitor, workflow_id: str) -> Locator:
    page = visitor.open("workflows")
    return page.locator("tr", has=page.get_by_role("link", name=workflow_id, exact=True))


@pytest.mark.parametrize("state", SHOWN)
def test_the_list_has_the_words_of_nervenet_list(visitor: Visitor, state: str) -> None:
    answers = STATES[state]
    # A terminal has less room: there the state is one word.
    words = answers.list.replace("? waiting", "? waits for a human")
    expect(row(visitor, answers.id)).to_contain_text(pattern(words))


@pytest.mark.parametrize("state", SHOWN)
def test_the_page_of_a_workflow_has_the_words_of_nervenet_show(visitor: Visitor, state: str) -> None:
    answers = STATES[state]
    assert SHOWN[state] in answers.show or state == "human", (
        "show says how a question is answered; the page has a button"
    )
    page = visitor.open(f"workflows/{answers.id}")
    expect(page.locator("main")).to_contain_text(pattern(SHOWN[state]))
    if state == "human":
        expect(page.get_by_role("link", name="Answer")).to_be_visible()


def test_an_agent_that_is_ejected(visitor: Visitor, mesh: ProcessMesh) -> None:
    """It gets tasks again after ten seconds, and fails them again."""
    broken = next(one.id for one in mesh.processes if one.id.startswith("broken"))
    page = visitor.open("agents")
    why = page.get_by_text(f"ejected: {broken} gets no tasks until")

    async def books(turn: int) -> None:
        async with mesh.client() as client:
            await (await client.start("book", 60, id=f"book-{turn}")).result(timeout=60)

    for turn in range(4):
        in_a_loop_of_its_own(lambda turn=turn: books(turn))  # type: ignore[misc]
        with suppress(NotSeen):
            why.wait_for(timeout=8000)
            break
    words = "from 1 node: … attempts at 'scan' failed in a row, where fine-… succeeds: no space left on device"
    expect(why).to_contain_text(pattern(words))
    expect(page.locator("tr", has_text=broken)).to_contain_text(pattern("! ejected"))


def test_each_state_of_the_table_is_here() -> None:
    assert SHOWN.keys() == STATES.keys() - {FAILS}, "an agent that fails everything is in test_an_agent_that_is_ejected"
