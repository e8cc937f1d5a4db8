# SPDX-License-Identifier: Apache-2.0
"""Hostile payloads are text; a token is asked for; a hidden page asks for nothing; the page does not grow."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from playwright.sync_api import Browser, Page, Request, expect

import nervenet
from nervenet.cli.render import waits
from nervenet.cli.render.text import View
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import workflow_pb2 as pb
from tests.dashboard.conftest import Visitor
from tests.dashboard.states import HOSTILE, open_desk
from tests.support.mesh import ProcessMesh


def escalation_of(workflow_id: str) -> str:
    return f"escalations/{workflow_id}%2Fask%231"


@pytest.mark.parametrize(
    "place", ["workflows", "workflows/parrot-script", escalation_of("parrot-script"), "escalations"]
)
def test_markup_is_text(visitor: Visitor, place: str) -> None:
    page = visitor.open(place)
    expect(page.get_by_text("<script>").first).to_be_visible()
    assert "owned" not in page.title()
    assert page.locator("script:not([src])").count() == 0
    assert page.locator("main img").count() == 0


def test_markup_in_values_and_journal_is_text(visitor: Visitor) -> None:
    page = visitor.open("workflows/parrot-script")
    page.get_by_role("tab", name="Values").click()
    expect(page.get_by_label("Input")).to_have_text(json.dumps(HOSTILE))
    page.get_by_role("tab", name=re.compile("Journal")).click()
    expect(page.locator(".journal-row").last).to_contain_text("<script>")
    assert "owned" not in page.title()


def test_a_string_of_a_megabyte_is_folded(visitor: Visitor) -> None:
    page = visitor.open("workflows/parrot-long")
    page.get_by_role("tab", name="Values").click()
    box = page.get_by_label("Input")
    expect(box).to_be_visible()
    assert len(box.inner_text()) <= 2000
    expect(page.get_by_text("976.6 KiB").first).to_be_visible()
    page.get_by_role("button", name=re.compile("Show more")).first.click()
    assert 40_000 < len(box.inner_text()) <= 60_000
    page.get_by_role("button", name="Fold").click()
    assert len(box.inner_text()) <= 2000


def test_deep_json_is_shown(visitor: Visitor) -> None:
    page = visitor.open(escalation_of("parrot-deep"))
    expect(page.get_by_label("Context")).to_contain_text("at the bottom")


def test_marks_that_turn_text_around_are_visible_in_values_and_gone_in_lines(visitor: Visitor) -> None:
    page = visitor.open("workflows/parrot-rtl")
    expect(page.get_by_label("What it waits for")).not_to_contain_text("\u202e")
    page.get_by_role("tab", name="Values").click()
    expect(page.get_by_label("Input")).to_contain_text("\\u202e")


def test_the_policy_of_the_page_is_strict(visitor: Visitor) -> None:
    page = visitor.page
    answer = page.goto(visitor.address + "/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.ran = true'; document.body.append(script); }"
    )
    assert page.evaluate("window.ran") is None
    visitor.problems.clear()  # the browser reports what it refused


def test_the_words_are_those_of_the_command_line(visitor: Visitor) -> None:
    """Every kind of wait, alone and many, stuck or not, first attempt or later: as `nervenet list` says it."""
    now_ms = int(datetime(2026, 5, 4, 9, 12, tzinfo=UTC).timestamp() * 1000)
    page = visitor.open("overview")
    script = "async ([waits, now]) => { const { waitWords } = await import('./core/waits.js'); return waits.map((wait) => waitWords(wait, now)); }"
    made = [_wait(*each, now_ms) for each in product(pb.WaitKind.values()[1:], (1, 3), (False, True), (1, 2))]
    told = page.evaluate(script, [[MessageToDict(wait) for wait in made], now_ms])
    os.environ["TZ"] = "UTC"
    time.tzset()
    view = View(people=True, width=200, now_ms=now_ms)
    assert told == [waits.words(wait, view) for wait in made]


def _wait(kind: int, count: int, stuck: bool, attempt: int, now_ms: int) -> pb.Wait:
    wait = pb.Wait(
        kind=kind,  # type: ignore[arg-type]
        count=count, step="fetch.2", capability="fetch", signal="paid", agent_id="ocr-3", attempt=attempt, max_attempts=5,
        last_failure=common.Failure(type="RateLimited", message="429"), question="Send it?", workflow_id="audit-7",
        reason="no live agent serves it", stuck=stuck,
    )  # fmt: skip
    wait.since_time.FromMilliseconds(now_ms - 700_000)
    wait.alive_time.FromMilliseconds(now_ms - 61_000)
    wait.due_time.FromMilliseconds(now_ms + 200_000_000)
    if kind == pb.WAIT_KIND_RUNNING and count == 1:
        wait.fraction = 0.4
    return wait


def test_every_module_is_loaded_at_once() -> None:
    """A module that index.html does not name costs a round trip more. The page's whole source is in the package."""
    folder = Path(nervenet.__file__).parent / "dashboard"
    named = set(re.findall(r'modulepreload" fetchpriority="low" href="./([^"]+)"', (folder / "index.html").read_text()))
    there = {str(file.relative_to(folder)) for file in folder.rglob("*.js")}
    assert named == there - {"main.js", "theme.js", "core/first.js"}, "these three have elements of their own"


def test_a_closed_workflow_is_asked_for_once(visitor: Visitor) -> None:
    """Its first read begins before the modules of the page are there (`core/first.js`); they take its answer."""
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page = visitor.open("workflows/tally-340")
    expect(page.locator(".step-row.fold")).to_contain_text("340 succeeded")
    assert asked.count("GetWorkflow") == 1


def test_a_hidden_page_has_no_stream(visitor: Visitor) -> None:
    page = visitor.open("overview")
    expect(page.locator(".state-tile").first).to_be_visible()
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/live")):  # its stream is closed
        _hide(page, hidden=True)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.wait_for_timeout(6000)  # longer than any read's interval: nothing may happen
    assert asked == []
    with page.expect_request("**/live"):
        _hide(page, hidden=False)
    assert sum(each.url.endswith("/live") for each in asked) == 1


def _hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_a_token_is_asked_for(browser: Browser, redis_url: str, etcd_url: str, tmp_path: Any) -> None:
    secret = "a-token-of-this-test-that-is-long"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app="tests/dashboard/desk.py", NERVENET_TOKEN=secret) as mesh:
        found = open_desk(mesh, nodes=1, agents=0)
        visitor = Visitor(browser, found.address)
        page = visitor.open("workflows")
        expect(page.get_by_role("heading", name="This mesh asks for a token")).to_be_visible()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("The node refused the token.")).to_be_visible()
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("No workflow yet.")).to_be_visible()
        assert visitor.problems == []
        visitor.context.close()
