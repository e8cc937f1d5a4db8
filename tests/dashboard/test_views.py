# SPDX-License-Identifier: Apache-2.0
"""Each view shows what the mesh is, in the words of the command line."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Visitor
from tests.dashboard.states import Desk

WORDS = {
    "invoice-2041": r"asks a human: Approve 1841\.5 € for Kern & Söhne\? \(due in 4[78] h\)",
    "poster-fair": r"asks a human: render may be what ends its agents",
    "greeting-es": r"asks a human: translate failed",
    "letter-tea": r"write running \d+ (s|min) on desk-\w+, 100 %",
    "payment-311": r"retries book in \d+ (s|min) after RateLimited: 429 from the bank for 99\.5 \(attempt \d of 5\)",
    "reminder-8": r"waits for signal paid, \d+ (s|min)",
    "nightly-1": r"sleeps until .*\d\d:\d\d",
    "archive-12": r"ocr queued \d+ (s|min): no live agent serves it",
    "month-5": r"waits for child month-5/\S+ and 1 more, the oldest \d+ (s|min)",
    "report-may": r"blocked \d+ (s|min): desk\.py:\d+: KeyError: 'may'",
    "refund-5": r"ValueError: no payment of 12\.0 € to give back",
    "reminder-7": r"paid in cash",
}


def row(page: Page, workflow_id: str):  # type: ignore[no-untyped-def]
    return page.locator("tr", has=page.get_by_role("link", name=workflow_id, exact=True))


@pytest.mark.parametrize("workflow_id", WORDS)
def test_the_list_says_what_each_workflow_waits_for(visitor: Visitor, workflow_id: str) -> None:
    page = visitor.open("workflows")
    expect(row(page, workflow_id)).to_contain_text(re.compile(WORDS[workflow_id]))


@pytest.mark.parametrize(
    ("workflow_id", "word"),
    [("invoice-2041", "waits for a human"), ("report-may", "blocked"), ("refund-5", "failed"), ("reminder-7", "canceled"),
     ("tally-340", "succeeded"), ("payment-311", "running")],
)  # fmt: skip
def test_states_have_the_words_of_the_command_line(visitor: Visitor, workflow_id: str, word: str) -> None:
    page = visitor.open(f"workflows/{workflow_id}")
    expect(page.locator(".head-title .mark")).to_have_text(re.compile(word))


def test_overview(visitor: Visitor) -> None:
    page = visitor.open("overview")
    states = page.get_by_label("Workflows by state")
    expect(states.get_by_role("link", name="blocked")).to_contain_text("1")
    expect(page.get_by_label("Figures")).to_contain_text(re.compile(r"Tasks in queues\s*2"))
    expect(page.get_by_label("Figures")).to_contain_text(re.compile(r"Duration, p50\s*[\d.]+ s"))
    expect(page.locator(".backlog")).to_contain_text(re.compile(r"ocr.*no agent serves it.*2 tasks, oldest", re.DOTALL))
    expect(page.get_by_role("link", name=re.compile("refund-5.*ValueError"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("report-may.*blocked"))).to_be_visible()
    expect(page.locator(".badge")).to_have_text(re.compile(r"\d+"))
    expect(page.locator("canvas")).to_be_visible()


def test_filters_are_those_of_list(visitor: Visitor) -> None:
    page = visitor.open("workflows")
    page.get_by_role("button", name=re.compile("blocked")).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("state=BLOCKED"))
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Labels").fill("team=press")
    page.get_by_label("Labels").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(row(page, "invoice-2041")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="retrying").click()
    expect(row(page, "payment-311")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Definition").fill("nosuch")
    page.get_by_label("Definition").press("Enter")
    expect(page.get_by_text(re.compile(r"No workflow matches; \d+ others"))).to_be_visible()


def test_the_search_opens_an_id_and_filters_by_other_text(visitor: Visitor) -> None:
    page = visitor.open("workflows")
    search = page.get_by_role("searchbox")
    search.fill("signal paid")
    search.press("Enter")
    expect(row(page, "reminder-8")).to_be_visible()
    expect(row(page, "nightly-1")).to_have_count(0)
    search.fill("nightly-1")
    search.press("Enter")
    expect(page.get_by_role("heading", name="nightly-1")).to_be_visible()


def test_one_workflow_has_its_steps_as_bars_and_each_step_its_story(visitor: Visitor) -> None:
    page = visitor.open("workflows/invoice-2041")
    expect(page.locator(".facts")).to_contain_text("large-3 4\u202f180 read, 312 written")
    expect(page.locator(".step-row")).to_have_count(8)
    expect(page.locator(".step-row", has_text="ask").locator(".phase.human")).to_have_count(1)
    retried = page.locator(".step-row", has_text="attempt 2")
    expect(retried.locator(".phase.retry")).to_have_count(1)
    retried.click()
    panel = page.get_by_label("Step scan.2")
    expect(panel).to_contain_text("OSError: the scanner is warming up")
    expect(panel).to_contain_text(re.compile(r"desk\.py:\d+ in scan"))
    expect(panel).to_contain_text("page 2: 3 lines")
    expect(panel.get_by_label("Input")).to_have_text("2")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_journal_and_values(visitor: Visitor) -> None:
    page = visitor.open("workflows/invoice-2041")
    page.get_by_role("tab", name=re.compile("Journal")).click()
    rows = page.locator(".journal-row")
    expect(rows.first).to_contain_text("invoice v1")
    expect(rows.last).to_contain_text("Approve 1841.5 €")
    rows.nth(1).click()
    expect(page.get_by_role("dialog")).to_contain_text("agentId")
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Values").click()
    expect(page.get_by_label("Input")).to_contain_text("Kern & Söhne")
    expect(page.get_by_label("View", exact=True)).to_contain_text("1841.5")


def test_a_blocked_workflow_shows_its_error_with_frames(visitor: Visitor) -> None:
    page = visitor.open("workflows/report-may")
    why = page.get_by_label("Why it is blocked")
    expect(why).to_contain_text("KeyError: 'may'")
    expect(why).to_contain_text('return months["may"]')
    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator(".message")).to_have_text("report-may is blocked still.")


def test_children_are_linked(visitor: Visitor) -> None:
    page = visitor.open("workflows/month-5")
    page.get_by_role("link", name="Open the child").click()
    expect(page.get_by_label("What it waits for")).to_contain_text("waits for signal paid")


def test_many_steps_are_one_line_and_their_bars_are_off(visitor: Visitor) -> None:
    page = visitor.open("workflows/tally-340")
    fold = page.locator(".step-row.fold")
    expect(fold).to_contain_text("×340")
    expect(fold).to_contain_text("340 succeeded")
    expect(page.locator(".bar")).to_have_count(0)
    page.get_by_role("button", name="Show bars of 340 steps").click()
    fold.click()
    expect(page.locator(".bar").nth(5)).to_be_visible()
    assert page.locator(".step-row").count() < 80, "only rows in sight are there"


def test_partial_output_comes_live(visitor: Visitor) -> None:
    page = visitor.open("workflows/letter-tea")
    expect(page.get_by_label("Live output")).to_contain_text(
        "Dear reader, this letter is about tea and it comes word by word"
    )
    expect(page.locator(".step-row", has_text="write")).to_contain_text("word 13")


def test_agents_and_nodes(visitor: Visitor, opened: Desk) -> None:
    page = visitor.open("agents")
    for node in opened.nodes[:2]:
        expect(page.locator("tr", has_text=node.id)).to_contain_text("active")
    agent = opened.agents[0].id
    expect(page.locator("tr", has_text=agent)).to_contain_text(re.compile(r"\d/78"))
    page.get_by_role("link", name=agent).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("scan v1")
    dialog.get_by_role("button", name="Drain").click()
    expect(dialog.locator(".mark")).to_have_text(re.compile("drain(ing|ed)"))
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog.locator(".mark")).to_have_text(re.compile("active"))


def test_an_agent_shows_its_tasks(visitor: Visitor, opened: Desk) -> None:
    page = visitor.open("agents")
    seen = []
    for agent in opened.agents:
        page.goto(f"{visitor.address}/#/agents/{agent.id}")
        dialog = page.get_by_role("dialog", name=agent.id)
        expect(dialog.locator(".lines, .empty")).to_be_visible()
        seen.append(dialog.inner_text())
    assert any("letter-tea/write" in text for text in seen)


def test_capabilities(visitor: Visitor, opened: Desk) -> None:
    page = visitor.open("capabilities")
    line = page.locator("tr", has=page.get_by_role("link", name="ocr", exact=True))
    expect(line).to_contain_text("no live agent serves it")
    expect(line.locator(".number").first).to_have_text("2")
    page.get_by_role("link", name="scan", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Reads a page of a scanned invoice.")
    expect(dialog).to_contain_text(opened.agents[0].id)


def test_a_definition_is_started_by_its_form(visitor: Visitor) -> None:
    page = visitor.open("definitions")
    page.get_by_role("link", name=re.compile("^invoice")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Pages").fill("two")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.locator(".problem")).to_contain_text("pages is not a whole number")
    dialog.get_by_label("Supplier").fill("Mayer")
    dialog.get_by_label("Pages").fill("2")
    dialog.get_by_label(re.compile("^Id")).fill("invoice-from-the-page")
    dialog.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="invoice-from-the-page")).to_be_visible()
    expect(page.get_by_label("What it waits for")).to_contain_text("Approve 1841.5 € for Mayer?")


def test_what_is_not_there_is_said(visitor: Visitor) -> None:
    page = visitor.open("workflows/nosuch")
    expect(
        page.get_by_text("There is no such workflow in this namespace, or its retention has passed.")
    ).to_be_visible()


def test_the_keyboard(visitor: Visitor) -> None:
    page = visitor.open("overview")
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.get_by_role("heading", name="Workflows")).to_be_visible()
    expect(page.locator("tbody tr").nth(3)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("[data-row]").nth(1)).to_be_focused()
    page.keyboard.press("k")
    chosen = page.locator("[data-row]").nth(0)
    expect(chosen).to_be_focused()
    name = chosen.inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.get_by_role("heading", name="Workflows")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_dark_and_light(visitors) -> None:  # type: ignore[no-untyped-def]
    visitor = visitors(color_scheme="light")
    page = visitor.open("overview")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch to dark").click()
    assert page.evaluate(ground) != light
    page.reload()
    expect(page.get_by_role("button", name="Switch to light")).to_be_visible()
    assert page.evaluate(ground) != light, "the choice is kept"


def test_a_node_that_was_killed(visitor: Visitor, opened: Desk, mesh) -> None:  # type: ignore[no-untyped-def]
    """Another node takes its workflows over, as the page shows. The page is served by a node that lives."""
    from tests.dashboard import desk
    from tests.dashboard.conftest import in_a_loop_of_its_own

    last = opened.nodes[2]

    async def start() -> str:
        async with mesh.client(last) as client:
            run = await client.start(desk.nightly, 5, id="orphan")
            assert (await run.info()).node_id == last.id
            return str(run.id)

    workflow_id = in_a_loop_of_its_own(start)
    page = visitor.open(f"workflows/{workflow_id}")
    expect(page.locator(".facts")).to_contain_text(last.id)
    last.kill()
    expect(page.locator(".facts")).to_contain_text("adopted once", timeout=40_000)
    expect(page.locator(".facts")).not_to_contain_text(last.id)
    visitor.open("agents")
    expect(page.locator("tr", has_text=opened.nodes[0].id)).to_be_visible()
    expect(page.locator("tr", has_text=last.id)).to_have_count(0)
