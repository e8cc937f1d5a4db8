# SPDX-License-Identifier: Apache-2.0
"""A workflow of many steps opens with its steps in short, and everything is there for those who want to see it: each step, each
filter, the last row, and what happens while the page still reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from nervenet.client.raw import RawClient
from nervenet.config import Config
from tests.dashboard import desk
from tests.dashboard.conftest import Visitor, in_a_loop_of_its_own
from tests.dashboard.states import in_state
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until


@pytest.fixture
def started(mesh: ProcessMesh, opened: object) -> Callable[..., str]:
    """Starts a workflow of the desk and returns its id when it is in a state."""

    def start(definition: Any, given: int, workflow_id: str, state: str = "SUCCEEDED") -> str:
        async def work() -> None:
            async with mesh.client() as client:
                await client.start(definition, given, id=workflow_id)
                await in_state(client, workflow_id, state)

        in_a_loop_of_its_own(work)
        return workflow_id

    return start


def signal(mesh: ProcessMesh, workflow_id: str) -> None:
    async def work() -> None:
        async with mesh.client() as client:
            await client.handle(workflow_id).signal(desk.paid, "yes")

    in_a_loop_of_its_own(work)


def steps_of(mesh: ProcessMesh, workflow_id: str, number: int) -> None:
    """Wait until this many steps of it have succeeded."""

    async def work() -> None:
        config = Config.load(environ={}, address=mesh.addresses, namespace=mesh.namespace)
        async with RawClient(config) as raw:

            async def are_there() -> bool:
                told = (await raw.call("GetWorkflow", workflow_id=workflow_id, summarize_tasks=True)).workflow
                return sum(each.count for group in told.task_groups for each in group.state_counts) == number

            await until(are_there, f"{workflow_id} has {number} steps", 60)

    in_a_loop_of_its_own(work)


def reads(page: Page) -> list[bool]:
    """For each GetWorkflow of the page from now on: whether it asks for all steps."""
    found: list[bool] = []

    def note(request: Request) -> None:
        if request.url.endswith("/GetWorkflow"):
            found.append(not (request.post_data_json or {}).get("summarizeTasks"))

    page.on("request", note)
    return found


def last_row(page: Page) -> Locator:
    """The last row of the list, after it was scrolled there."""
    page.locator(".virtual").evaluate("list => (list.scrollTop = list.scrollHeight)")
    return page.locator(".virtual-row").last


def test_all_steps_are_read_when_their_line_is_opened(visitor: Visitor) -> None:
    asked = reads(visitor.page)
    page = visitor.open("workflows/tally-340")
    fold = page.locator(".step-row.fold")
    expect(fold).to_contain_text("×340")
    expect(fold).to_contain_text("340 succeeded")
    expect(page.get_by_role("tab", name=re.compile("Steps"))).to_contain_text("340")
    assert asked == [False]
    fold.click()
    expect(page.locator(".step-row.inside").first).to_be_visible()
    rows = page.locator(".virtual-all").evaluate("all => Math.round(all.offsetHeight / 34)")
    assert rows == 341, "the line of all, and each step"
    expect(last_row(page)).to_contain_text(re.compile(r"count\.\d+"))
    assert asked == [False, True]
    page.locator(".step-row.inside").last.click()
    expect(page.get_by_label(re.compile("Step count"))).to_contain_text("succeeded")
    page.get_by_role("tab", name="Values").click()
    page.get_by_role("tab", name=re.compile("Steps")).click()
    expect(fold).to_contain_text("340 succeeded")


def test_a_step_says_its_input_and_output_without_those_of_all_others(visitor: Visitor) -> None:
    page = visitor.open("workflows/tally-340")
    page.locator(".step-row.fold").click()
    with page.expect_response(lambda each: "inputSteps" in (each.request.post_data or "")) as answer:
        page.locator(".step-row.inside").first.click()
    assert len(answer.value.json()["workflow"]["tasks"]) == 1
    expect(page.get_by_label("Output")).to_be_visible()


def test_steps_that_are_unlike_are_all_there(visitor: Visitor, started: Callable[..., str]) -> None:
    started(desk.journey, 320, "journey-320")
    page = visitor.open("workflows/journey-320")
    expect(page.get_by_role("tab", name=re.compile("Steps"))).to_contain_text("320")
    all_rows = page.locator(".virtual-all")
    page.wait_for_function("() => document.querySelector('.virtual-all')?.offsetHeight === 320 * 34")
    expect(all_rows.locator(".step-row").first).to_contain_text("stop-")
    expect(last_row(page)).to_contain_text("stop-")


def test_the_filter_of_failed_steps_shows_all_of_them(visitor: Visitor, started: Callable[..., str]) -> None:
    started(desk.losses, 30, "losses-30")
    page = visitor.open("workflows/losses-30")
    expect(page.locator(".step-row.fold")).to_contain_text("30 failed")
    expect(page.locator(".step-row.inside")).to_have_count(3)
    page.get_by_role("button", name="30 steps have failed attempts").click()
    page.wait_for_function("() => document.querySelector('.virtual-all').offsetHeight === 30 * 34")
    expect(last_row(page)).to_contain_text("is below zero")


def test_counts_go_on_while_all_steps_are_being_read(
    visitor: Visitor, mesh: ProcessMesh, started: Callable[..., str]
) -> None:
    """The answer with all steps is held back until the workflow has twice as many; then the list has those too."""
    started(desk.batches, 30, "batches-30", "RUNNING")
    steps_of(mesh, "batches-30", 30)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held or route.request.post_data_json.get("summarizeTasks"):
            route.continue_()
        else:
            held.append(route)

    page = visitor.page
    page.route("**/GetWorkflow", hold)
    visitor.open("workflows/batches-30")
    fold = page.locator(".step-row.fold")
    expect(fold).to_contain_text("30 succeeded")
    fold.click()
    expect(page.get_by_text("30 more steps are being read…")).to_be_visible()
    signal(mesh, "batches-30")
    expect(fold).to_contain_text("60 succeeded")
    page.wait_for_function("() => document.querySelector('.virtual-all').offsetHeight >= 61 * 34")
    held[0].continue_()
    signal(mesh, "batches-30")
    expect(fold).to_contain_text("90 succeeded")
    expect(last_row(page)).to_contain_text(re.compile("count|paid"))
    signal(mesh, "batches-30")
    expect(page.locator(".head-title .mark")).to_contain_text("succeeded")
