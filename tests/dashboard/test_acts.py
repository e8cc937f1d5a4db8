# SPDX-License-Identifier: Apache-2.0
"""What people do on the page: decide, cancel, restart, signal. The mesh has it afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.dashboard import desk
from tests.dashboard.conftest import Visitor, in_a_loop_of_its_own
from tests.dashboard.states import in_state
from tests.support.mesh import ProcessMesh


def start(mesh: ProcessMesh, workflow: Any, value: Any, workflow_id: str, state: str = "") -> None:
    async def work() -> None:
        async with mesh.client() as client:
            await client.start(workflow, value, id=workflow_id)
            if state:
                await in_state(client, workflow_id, state)

    in_a_loop_of_its_own(work)


def result(mesh: ProcessMesh, workflow_id: str) -> Any:
    answer = mesh.run("result", workflow_id, "--timeout", "20s")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_a_choice_resumes_the_workflow(visitors: Callable[..., Visitor], mesh: ProcessMesh) -> None:
    start(mesh, desk.expense, 7.0, "expense-choice", "WAITING_FOR_HUMAN")
    page = visitors("ana@desk").open("escalations")
    page.get_by_role("link", name=re.compile("Pay 7.00 € to Ana")).click()
    page.get_by_label("Comment").fill("with receipts")
    page.get_by_role("button", name="yes").click()
    expect(page.get_by_text("ana@desk decided: yes (“with receipts”)")).to_be_visible()
    assert result(mesh, "expense-choice") == "paid: yes"
    page.get_by_role("link", name="expense-choice").click()
    expect(page.locator(".head-title .mark")).to_have_text(re.compile("succeeded"))


def test_a_typed_form_resumes_the_workflow(visitor: Visitor, mesh: ProcessMesh) -> None:
    start(mesh, desk.invoice, desk.Invoice(supplier="Form", pages=1), "invoice-form", "WAITING_FOR_HUMAN")
    page = visitor.open("escalations/invoice-form%2Fask%231")
    form = page.locator("form.decision")
    form.get_by_role("button", name="Answer").click()
    expect(form.locator(".problem").first).to_contain_text("amount is required")
    form.get_by_label("Amount").fill("1840.25")
    form.get_by_label("Account").select_option("hardware")
    form.get_by_role("button", name="Add an item").click()
    form.get_by_label("Text").fill("two screens")
    form.get_by_label("price").fill("920.125")
    form.get_by_role("button", name="Answer").click()
    expect(page.get_by_text(re.compile("somebody decided|decided:"))).to_be_visible()
    assert result(mesh, "invoice-form") == {"approved": 1840.25, "account": "hardware"}


def test_what_the_node_refuses_is_shown_at_the_form(visitor: Visitor, mesh: ProcessMesh) -> None:
    start(mesh, desk.invoice, desk.Invoice(supplier="Json", pages=1), "invoice-json", "WAITING_FOR_HUMAN")
    page = visitor.open("escalations/invoice-json%2Fask%231")
    form = page.locator("form.decision")
    form.get_by_role("button", name="Write it as JSON").click()
    form.get_by_label("Answer as JSON").fill('{"amount": "much", "account": "hardware"}')
    form.get_by_role("button", name="Answer").click()
    expect(form.get_by_role("alert")).to_contain_text("amount")
    form.get_by_label("Answer as JSON").fill('{"amount": 12345678901234567890, "account": "travel"}')
    form.get_by_role("button", name="Answer").click()
    expect(page.locator(".decided")).to_be_visible()
    assert result(mesh, "invoice-json")["account"] == "travel"


def test_of_two_people_one_wins_and_the_other_is_told(visitors: Callable[..., Visitor], mesh: ProcessMesh) -> None:
    start(mesh, desk.expense, 8.0, "expense-two", "WAITING_FOR_HUMAN")
    place = "escalations/expense-two%2Fask%231"
    ana, ben = visitors("ana@desk"), visitors("ben@desk")
    first, second = ana.open(place), ben.open(place)
    expect(first.get_by_role("button", name="yes")).to_be_visible()
    expect(second.get_by_role("button", name="no", exact=True)).to_be_visible()
    ben.context.route(
        "**/GetEscalation",
        lambda route: route.abort() if not ben.page.evaluate("window.clicked") else route.continue_(),
    )
    first.get_by_role("button", name="yes").click()
    expect(first.locator(".decided")).to_contain_text("ana@desk decided: yes")
    second.evaluate("window.clicked = true")
    if second.get_by_role("button", name="no", exact=True).count():
        second.get_by_role("button", name="no", exact=True).click()
    expect(second.locator(".decided")).to_contain_text("ana@desk decided: yes")
    assert result(mesh, "expense-two") == "paid: yes"


def test_a_failed_task_is_retried_completed_or_failed(visitors: Callable[..., Visitor], mesh: ProcessMesh) -> None:
    start(mesh, desk.greeting, "salut", "greeting-fr", "WAITING_FOR_HUMAN")
    page = visitors("ana@desk").open("workflows/greeting-fr")
    page.get_by_role("link", name="Answer").click()
    expect(page.locator(".failure")).to_contain_text("KeyError: 'salut'")
    expect(page.locator(".stack-frame").last).to_contain_text(re.compile(r"desk\.py:\d+ in translate"))
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator(".decided")).to_contain_text("ana@desk decided: 1 attempt more")
    page.goto(page.url.split("#")[0] + "#/escalations")
    page.locator("a[href*='greeting-fr%2Ftranslate%232']").click()  # it asks again, under the next number
    page.get_by_label("Give the result").check()
    page.get_by_label("Answer").fill("hallo")
    page.get_by_role("button", name="Use this result").click()
    expect(page.locator(".decided")).to_contain_text("decided: hallo")
    assert result(mesh, "greeting-fr") == "hallo"


def test_many_are_canceled_after_a_dry_run(visitors: Callable[..., Visitor], mesh: ProcessMesh) -> None:
    for number in range(3):
        start(mesh, desk.nightly, 2 + number, f"tired-{number}", "RUNNING")
    page = visitors("ana@desk").open("workflows?waiting=sleeps")
    page.get_by_label("Select tired-0").check()
    page.get_by_label("Select tired-1").check()
    page.get_by_label("Select tired-2").check()
    page.get_by_role("button", name="Cancel…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 workflows would be canceled. Nothing was changed yet.")
    dialog.get_by_label("Reason").fill("a holiday")
    dialog.get_by_role("button", name="Cancel 3 workflows").click()
    expect(dialog.get_by_role("status")).to_have_text("3 workflows canceled.")
    dialog.get_by_role("button", name="Close", exact=True).last.click()
    page.goto(page.url.split("#")[0] + "#/workflows?state=CANCELED")
    for number in range(3):
        expect(page.locator("tr", has_text=f"tired-{number}")).to_contain_text("a holiday")


def test_all_that_match_are_restarted(visitor: Visitor, mesh: ProcessMesh) -> None:
    for number in range(2):
        start(mesh, desk.refund, 3.0 + number, f"again-{number}", "FAILED")
    page = visitor.open("workflows?definition=refund&state=FAILED")
    page.get_by_role("button", name="Restart…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile("3 workflows would be restarted"))
    dialog.get_by_role("button", name="Restart 3 workflows").click()
    expect(dialog.get_by_role("status")).to_have_text("3 workflows restarted.")
    dialog.get_by_role("button", name="Close", exact=True).last.click()
    visitor.open("workflows/again-0")
    expect(page.locator(".facts")).to_contain_text(re.compile(r"run\s*2"))


def test_a_signal_by_its_form(visitor: Visitor, mesh: ProcessMesh) -> None:
    start(mesh, desk.reminder, 5, "reminder-signal", "RUNNING")
    page = visitor.open("workflows/reminder-signal")
    page.get_by_role("button", name="Signal…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value").fill("40 euros")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".head-title .mark")).to_have_text(re.compile("succeeded"))
    assert result(mesh, "reminder-signal") == "40 euros"


def test_cancel_one(visitors: Callable[..., Visitor], mesh: ProcessMesh) -> None:
    start(mesh, desk.nightly, 1, "nap", "RUNNING")
    page = visitors("ana@desk").open("workflows/nap")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".head-title .mark")).to_have_text(re.compile("cancel"))
    expect(page.get_by_role("button", name="Restart…")).to_be_visible()
