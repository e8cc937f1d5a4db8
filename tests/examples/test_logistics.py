# SPDX-License-Identifier: Apache-2.0
"""Logistics: the generator, the agents and the workflow alone; no servers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.logistics.agents import (
    EXCEPTIONS,
    BrokenUpdate,
    CarrierTimeout,
    UnknownShipment,
    check,
    estimate,
    notify,
    route,
)
from examples.logistics.generate import BUSIEST, CURVE, FAULTS, generate, read, read_orders
from examples.logistics.models import (
    BROKEN_UPDATE,
    NOTIFIED,
    UNKNOWN_SHIPMENT,
    Decision,
    Estimate,
    Finding,
    Order,
    Position,
    Update,
)
from examples.logistics.network import PLACES, shortest_way
from examples.logistics.workflow import shipment_update
from nervenet import AgentError
from nervenet.testing import AgentTest, WorkflowTest, run_agent

ORDER = Order("NV1", "ada", "Berlin", datetime(2026, 3, 5, 18, tzinfo=UTC))
UPDATE = Update("day-1", "NV1", "Northline", "in transit", "Hamburg", "2026-03-04T10:00:00+00:00")
POSITION = Position("day-1", ORDER, "Northline", "in transit", "Hamburg", datetime(2026, 3, 4, 10, tzinfo=UTC), [], 3.0)
ESTIMATE = Estimate(POSITION, datetime(2026, 3, 4, 17, tzinfo=UTC), 0)


# ── the generator ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        generate(400, seed).write(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["faults.jsonl", "hour.jsonl", "orders.jsonl", "updates.jsonl"]
    for file in files:
        first, same, other = ((tmp_path / name / file).read_text() for name in ("a", "b", "c"))
        assert first == same != other


def test_one_update_in_a_hundred_has_a_fault_of_one_of_four_kinds(tmp_path: Path) -> None:
    made = generate(4000, 1, times=10)
    for planned in (made.day, made.hour):
        faults = Counter(one.fault for one in planned if one.fault)
        assert faults.total() == round(len(planned) / 100)
        assert set(faults) == set(FAULTS) and max(faults.values()) - min(faults.values()) <= 1
    made.write(tmp_path)
    assert len(list(read(tmp_path / "faults.jsonl"))) == sum(bool(one.fault) for one in (*made.day, *made.hour))
    assert list(read_orders(tmp_path / "orders.jsonl").values()) == made.orders


def test_arrivals_follow_the_curve_of_the_day() -> None:
    made = generate(20_000, 3, times=10)
    moments = [one.at_s for one in made.day]
    assert moments == sorted(moments) and moments[0] >= 0 and moments[-1] <= 86_400
    hours = Counter(int(at // 3600) for at in moments)
    assert hours.most_common(1)[0][0] in (BUSIEST - 1, BUSIEST, BUSIEST + 1)
    assert hours[2] < 0.3 * hours[BUSIEST]
    assert len(made.hour) == round(20_000 * 10 * CURVE[BUSIEST] / sum(CURVE))
    assert all(0 <= one.at_s <= 3600 for one in made.hour)


# ── the agents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_place_can_be_reached_by_the_shortest_way() -> None:
    assert shortest_way("Hamburg", "Prague") == (("Berlin", "Leipzig"), 8.0)
    assert all(shortest_way(one, other).hours == shortest_way(other, one).hours for one in PLACES for other in PLACES)


async def test_route_finds_the_order_and_refuses_what_it_cannot_read() -> None:
    with_orders = AgentTest(resource={"NV1": ORDER})
    assert (await with_orders.run(route, UPDATE)).result == POSITION
    for broken, error in (
        (replace(UPDATE, tracking="XX9"), UnknownShipment),
        (replace(UPDATE, status="?"), BrokenUpdate),
        (replace(UPDATE, time="yesterday"), BrokenUpdate),
        (replace(UPDATE, place="Atlantis"), BrokenUpdate),
    ):
        refused = (await with_orders.run(route, broken)).error
        assert isinstance(refused, error) and not refused.retryable


async def test_check_asks_for_a_person_only_where_one_must_decide() -> None:
    assert await run_agent(check, ESTIMATE) == Finding(0.0, "", False)
    late = replace(ESTIMATE, arrival=datetime(2026, 3, 6, 18, tzinfo=UTC))
    assert await run_agent(check, late) == Finding(24.0, "24 hours late", False)
    damaged = replace(ESTIMATE, position=replace(POSITION, status="damaged"))
    assert (await run_agent(check, damaged)).needs_person


# ── the workflow ─────────────────────────────────────────────────────────────────────────────────────────────────────


def logistics() -> WorkflowTest:
    test = WorkflowTest()  # it drops and rebuilds the workflow after every entry
    test.stub(route, lambda update: replace(POSITION, status=update.status))
    test.stub(estimate, lambda position: replace(ESTIMATE, position=position))
    test.stub(
        check, lambda one: Finding(0.0, EXCEPTIONS.get(one.position.status, ""), one.position.status in EXCEPTIONS)
    )
    test.stub(notify, lambda message: "receipt-1")
    return test


def test_an_update_ends_with_a_message_to_the_customer() -> None:
    run = logistics().run(shipment_update, UPDATE)
    assert (run.result.end, run.result.receipt, run.result.decision) == (NOTIFIED, "receipt-1", None)
    assert run.journal.names == ["start", "task:route", "task:estimate", "task:check", "task:notify", "close"]
    (message,) = run.calls(notify)
    assert message.customer == "ada" and "Hamburg" in message.text


@pytest.mark.parametrize(("kind", "end"), [(UnknownShipment, UNKNOWN_SHIPMENT), (BrokenUpdate, BROKEN_UPDATE)])
def test_what_cannot_be_handled_ends_without_a_message(kind: type[AgentError], end: str) -> None:
    test = logistics()
    test.stub(route, kind("no", retryable=False))
    run = test.run(shipment_update, UPDATE)
    assert (run.result.end, run.result.receipt) == (end, "") and not run.calls(notify)


def test_a_carrier_that_does_not_answer_is_asked_again() -> None:
    test = logistics()
    test.stub(estimate, [CarrierTimeout("no answer"), ESTIMATE])
    run = test.run(shipment_update, UPDATE)
    assert run.result.end == NOTIFIED and "attempt:estimate#1" in run.journal.names


def test_a_person_decides_about_an_exception() -> None:
    test = logistics()
    test.answer(f"NV1: {EXCEPTIONS['damaged']}. What now?", Decision.REPLACE)
    run = test.run(shipment_update, replace(UPDATE, status="damaged"))
    assert (run.result.end, run.result.decision) == (NOTIFIED, Decision.REPLACE)
    assert "We send you another one" in run.calls(notify)[0].text
