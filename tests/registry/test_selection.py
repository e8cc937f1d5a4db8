# SPDX-License-Identifier: Apache-2.0
"""How an agent is chosen, as a specification: agents and what they do on the left, the choice on the right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from itertools import cycle

import pytest

from nervenet.registry.pools import Pools
from nervenet.registry.selection import ALL_BUSY, BY_POLICY, NOBODY, require, requirement_hash
from nervenet.registry.views import AgentView, CapabilityView, LoadView


def agent(
    agent_id: str,
    *,
    slots: int = 4,
    cap_slots: int = 0,
    version: str = "1",
    labels: Mapping[str, str] | None = None,
    cap_labels: Mapping[str, str] | None = None,
    state: str = "ACTIVE",
    inbox: str = "",
) -> AgentView:
    ocr = CapabilityView("ocr", version, cap_labels or {}, cap_slots)
    return AgentView(
        agent_id,
        capabilities={"ocr": ocr, "sum": CapabilityView("sum")},
        labels=labels or {},
        slots=slots,
        state=state,
        inbox=inbox,
    )


def busy(active: int, *, queued: int = 0, ocr: int | None = None, at: int = 1_000, errors: float = 0.0) -> LoadView:
    return LoadView(active, queued, 0, at, {"ocr": active if ocr is None else ocr}, errors)


def mesh(*agents: AgentView, seed: int = 7, **loads: LoadView) -> Pools:
    pools = Pools(random.Random(seed).random)
    for each in agents:
        pools.put_agent(each)
    for agent_id, load in loads.items():
        pools.put_load(agent_id, load, load.sample_ms)
    return pools


OCR = require("ocr")


def chosen(pools: Pools, *args: object, **kwargs: object) -> str | None:
    choice = pools.choose(*(args or (OCR,)), **kwargs)  # type: ignore[arg-type]
    return choice.agent.agent_id if choice.agent else None


# ── least loaded ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("agents", "loads", "expected"),
    [
        pytest.param([agent("a"), agent("b")], {"a": busy(2), "b": busy(1)}, "b", id="fewer-in-flight"),
        pytest.param([agent("a", slots=2), agent("b", slots=8)], {"a": busy(1), "b": busy(3)}, "b", id="over-slots"),
        pytest.param([agent("a"), agent("b")], {"a": busy(1, queued=2), "b": busy(2)}, "b", id="queued-counts"),
        pytest.param([agent("a"), agent("b")], {"a": busy(1)}, "b", id="no-report-yet-is-idle"),
        pytest.param([agent("a"), agent("b")], {"a": busy(4), "b": busy(3)}, "b", id="only-one-with-room"),
        pytest.param([agent("a"), agent("b")], {"a": busy(4), "b": busy(5)}, None, id="no-room-anywhere"),
        pytest.param(
            [agent("a", cap_slots=1), agent("b", slots=2)], {"a": busy(1), "b": busy(1)}, "b", id="capability-is-full"
        ),
        pytest.param(
            [agent("a", slots=2, cap_slots=2), agent("b", slots=4)],
            {"a": busy(2, ocr=0), "b": busy(3)},
            "b",
            id="agent-is-full-of-other-work",
        ),
        pytest.param([agent("a")], {"a": LoadView(0, 0, 0, 1_000)}, "a", id="idle"),
        pytest.param([agent("a", slots=9), agent("b")], {"a": LoadView(2, 0, 2, 1_000)}, "b", id="reported-slots-rule"),
        pytest.param([], {}, None, id="nobody"),
    ],
)
def test_least_loaded(agents: list[AgentView], loads: dict[str, LoadView], expected: str | None) -> None:
    assert chosen(mesh(*agents, **loads)) == expected


def test_the_reason_for_the_queue_is_told() -> None:
    assert mesh().choose(OCR) is NOBODY
    assert mesh(agent("a"), a=busy(4)).choose(OCR) is ALL_BUSY
    assert mesh(agent("a")).choose(OCR, "queue") is BY_POLICY


def test_what_was_assigned_since_the_report_counts_until_a_later_report_has_it() -> None:
    pools = mesh(agent("a"), agent("b"), a=busy(1), b=busy(2))
    assert chosen(pools) == "a"
    pools.assign("a", "ocr", 2_000)
    pools.assign("a", "ocr", 2_001)
    assert chosen(pools) == "b"
    pools.put_load("a", busy(1, at=1_500), 1_500)
    assert chosen(pools) == "b", "a report measured before the assignments does not know them"
    pools.put_load("a", busy(1, at=2_500), 2_500)
    assert chosen(pools) == "a", "a later one does: they were short"


def test_what_came_back_makes_room_before_the_next_report() -> None:
    pools = mesh(agent("a", slots=2), a=busy(2))
    assert chosen(pools) is None
    pools.release("a", "ocr", 0)
    assert chosen(pools) == "a"
    pools.assign("a", "ocr", 2_000)
    assert chosen(pools) is None
    pools.release("a", "ocr", 2_000)
    assert chosen(pools) == "a"


def test_a_release_too_many_does_not_make_an_agent_emptier_than_empty() -> None:
    pools = mesh(agent("a", slots=1))
    for _ in range(3):
        pools.release("a", "ocr", 0)
    pools.assign("a", "ocr", 5)
    assert chosen(pools) is None


def test_the_clock_of_an_agent_may_be_wrong() -> None:
    hour = 3_600_000
    for skew in (-hour, hour):
        pools = mesh(agent("a", slots=2))
        pools.put_load("a", busy(0, at=1_000 + skew), 1_010)
        pools.assign("a", "ocr", 2_000)
        pools.put_load("a", busy(1, at=3_000 + skew), 3_010)
        assert chosen(pools) == "a", "the assignment is in the report, not beside it"
        pools.put_load("a", busy(1, at=1_500 + skew), 4_000)
        pools.assign("a", "ocr", 4_000)
        pools.put_load("a", busy(1, at=3_500 + skew), 9_000)
        assert chosen(pools) is None, "a report that came late does not know what was assigned before it came"


def test_equals_share_the_work_by_chance() -> None:
    pools = mesh(*(agent(f"a{i}") for i in range(10)))
    counts = Counter(chosen(pools) for _ in range(2_000))
    assert len(counts) == 10
    assert max(counts.values()) < 3 * min(counts.values()), counts


def test_of_two_equals_the_one_that_fails_less_is_taken() -> None:
    pools = mesh(agent("a"), agent("b"), a=busy(1, errors=0.5), b=busy(1, errors=0.0))
    counts = Counter(chosen(pools) for _ in range(400))
    assert counts["b"] > 250, counts  # both drawn in half of the cases, then b


# ── requirements ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("match", "version", "expected"),
    [
        ({}, None, {"big-eu", "big-us", "small"}),
        ({"model": "large"}, None, {"big-eu", "big-us"}),
        ({"model": "large", "region": "eu"}, None, {"big-eu"}),
        ({"region": "us"}, None, {"big-us", "small"}),
        ({"region": "mars"}, None, {None}),
        ({"gpu": "yes"}, None, {None}),
        ({}, "2", {"big-us"}),
        ({"region": "eu"}, "2", {None}),
    ],
)
def test_labels_and_version_that_a_task_asks_for(
    match: dict[str, str], version: str | None, expected: set[str | None]
) -> None:
    pools = mesh(
        agent("big-eu", labels={"region": "eu"}, cap_labels={"model": "large"}),
        agent("big-us", labels={"region": "us"}, cap_labels={"model": "large"}, version="2"),
        agent("small", labels={"region": "eu", "model": "large"}, cap_labels={"region": "us", "model": "small"}),
    )
    assert {chosen(pools, require("ocr", match, version)) for _ in range(60)} == expected


def test_the_hash_of_a_requirement_is_the_same_in_every_process_and_language() -> None:
    assert requirement_hash({}) == require("ocr").hash == ""
    assert requirement_hash({"model": "large", "region": "eu"}) == requirement_hash({"region": "eu", "model": "large"})
    assert require("ocr", {"model": "large"}).hash == "0aa929537b3ffcca"  # printf '\\0model\\0large' | sha256sum
    assert require("ocr", {"model": "large"}, "2").hash == "8fc291a2f3e34beb"
    assert require("ocr", None, "2").hash == "d4735e3a265e16ee"  # printf 2 | sha256sum
    assert len({requirement_hash(m) for m in ({"a": "b"}, {"a": ""}, {"ab": ""}, {"a": "b", "c": ""})}) == 4


# ── who is out ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["STARTING", "DRAINING", "DRAINED"])
def test_only_active_agents_get_tasks(state: str) -> None:
    pools = mesh(agent("a"), agent("b"))
    pools.put_agent(agent("a", state=state))
    assert {chosen(pools) for _ in range(20)} == {"b"}
    pools.put_agent(agent("b", state=state))
    assert pools.choose(OCR) is NOBODY


def test_an_ejected_agent_gets_nothing_until_it_is_readmitted_even_if_its_record_changes() -> None:
    pools = mesh(agent("a"))
    pools.eject("a", "accepted nothing for 5 s")
    assert pools.choose(OCR) is NOBODY
    pools.put_agent(agent("a", slots=9))
    assert pools.choose(OCR, "sticky", sticky_key="x") is NOBODY
    pools.readmit("a")
    assert chosen(pools) == "a"


def test_an_agent_that_is_gone_is_not_chosen_and_a_new_one_is() -> None:
    pools = mesh(agent("a"))
    assert chosen(pools) == "a"
    pools.remove_agent("a")
    assert pools.choose(OCR) is NOBODY
    pools.put_agent(agent("b"))
    assert chosen(pools) == "b"
    assert repr(pools) == "<Pools 1 agents, 2 capabilities>"


def test_those_to_be_avoided_get_it_only_when_nobody_else_lives() -> None:
    pools = mesh(agent("a"), agent("b"), b=busy(3))
    assert chosen(pools, avoid=["a"]) == "b"
    assert chosen(pools, avoid=["a", "b"]) == "a"
    assert chosen(pools, OCR, "sticky", sticky_key="k", avoid=["a"]) == "b"
    assert chosen(pools, OCR, "round_robin", avoid=["a"]) == "b"
    pools.put_load("b", busy(4), 1_000)
    assert chosen(pools, avoid=["a"]) is None, "b lives: it takes it from the queue when it has room"
    pools.remove_agent("b")
    assert chosen(pools, avoid=["a"]) == "a"


def test_counts_outlive_a_change_of_the_record() -> None:
    pools = mesh(agent("a", slots=2), a=busy(1))
    pools.assign("a", "ocr", 2_000)
    pools.put_agent(agent("a", slots=2, labels={"new": "label"}))
    assert chosen(pools) is None


# ── the other policies ───────────────────────────────────────────────────────────────────────────────────────────────


def test_round_robin_takes_turns_and_passes_over_the_full() -> None:
    pools = mesh(agent("a"), agent("b"), agent("c"), b=busy(4))
    assert [chosen(pools, OCR, "round_robin") for _ in range(6)] == ["a", "c", "c", "a", "c", "c"]
    pools.put_load("b", busy(0), 1_000)
    assert [chosen(pools, OCR, "round_robin") for _ in range(3)] == ["a", "b", "c"]


def test_a_sticky_key_keeps_its_agent_full_or_not_and_only_keys_of_the_dead_move() -> None:
    names = [f"agent-{i}" for i in range(10)]
    pools = mesh(*(agent(name) for name in names))
    keys = [f"conversation-{i}" for i in range(300)]

    def homes() -> dict[str, str | None]:
        return {key: chosen(pools, OCR, "sticky", sticky_key=key) for key in keys}

    before = homes()
    assert set(before.values()) == set(names)
    pools.put_load("agent-3", busy(4), 1_000)
    assert homes() == before
    pools.remove_agent("agent-3")
    after = homes()
    assert {key for key in keys if before[key] != after[key]} == {key for key in keys if before[key] == "agent-3"}
    pools.put_agent(agent("agent-3"))
    assert homes() == before


def test_sticky_without_a_key_is_least_loaded() -> None:
    assert chosen(mesh(agent("a"), agent("b"), a=busy(1)), OCR, "sticky") == "b"


def test_tasks_of_a_gateway_agent_go_to_the_inbox_of_its_node() -> None:
    choice = mesh(agent("a", inbox="n-7")).choose(OCR)
    assert choice.agent is not None
    assert (choice.agent.agent_id, choice.agent.stream) == ("a", "n-7")


# ── explain ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_explain_says_about_everybody_why_or_why_not() -> None:
    pools = mesh(
        agent("best", cap_labels={"model": "large"}),
        agent("busier", cap_labels={"model": "large"}),
        agent("draining", cap_labels={"model": "large"}, state="DRAINING"),
        agent("ejected", cap_labels={"model": "large"}),
        agent("failed", cap_labels={"model": "large"}),
        agent("full", cap_labels={"model": "large"}),
        agent("old", version="0", cap_labels={"model": "large"}),
        agent("small", cap_labels={"model": "small"}),
        best=busy(1),
        busier=busy(2),
        full=busy(4),
    )
    pools.eject("ejected", "fails everything")
    asked = require("ocr", {"model": "large"}, "1")
    explained = pools.explain(asked, avoid=["failed"])
    assert explained.choice.agent is not None
    assert explained.choice.agent.agent_id == chosen(pools, asked, avoid=["failed"]) == "best"
    assert [tuple(verdict) for verdict in explained.verdicts] == [
        ("best", 0.25, ""),
        ("busier", 0.5, ""),
        ("draining", 0.0, "is draining"),
        ("ejected", 0.0, "ejected: fails everything"),
        ("failed", 0.0, "to be avoided: it failed this task before"),
        ("old", 0.0, "version 0, asked for 1"),
        ("small", 0.0, "label model=small, asked for large"),
        ("full", 1.0, "no free slot (4 of 4)"),
    ]


def test_explaining_changes_nothing() -> None:
    pools = mesh(agent("a"), agent("b"))
    for expected in ("a", "b", "a"):
        said = pools.explain(OCR, "round_robin").choice.agent
        assert said is not None
        assert said.agent_id == chosen(pools, OCR, "round_robin") == expected


# ── a thousand random meshes ─────────────────────────────────────────────────────────────────────────────────────────


def test_whatever_happens_the_choice_is_one_that_explain_calls_fit_and_least_loaded() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        pools = mesh(seed=seed)
        ids = cycle([f"a{i}" for i in range(6)])
        for step in range(60):
            name = next(ids)
            match rng.randrange(7):
                case 0:
                    pools.put_agent(
                        agent(
                            name,
                            slots=rng.randint(1, 4),
                            cap_slots=rng.randint(0, 3),
                            state=rng.choice(["ACTIVE"] * 4 + ["DRAINING"]),
                            labels={"zone": rng.choice("xy")},
                        )
                    )
                case 1:
                    pools.put_load(name, busy(rng.randint(0, 4), at=step), step)
                case 2:
                    pools.assign(name, "ocr", step)
                case 3:
                    pools.release(name, "ocr", step - rng.randint(0, 5))
                case 4:
                    pools.eject(name, "test") if rng.random() < 0.5 else pools.readmit(name)
                case 5:
                    if rng.random() < 0.3:
                        pools.remove_agent(name)
            asked = require("ocr", {"zone": "x"} if rng.random() < 0.5 else None)
            avoid = [n for n in ("a0", "a1") if rng.random() < 0.3]
            got = chosen(pools, asked, avoid=avoid)
            fit = {v.agent_id: v.score for v in pools.explain(asked, avoid=avoid).verdicts if not v.rejected}
            assert (got is None) == (not fit), f"seed {seed} step {step}"
            assert got is None or fit[got] == min(fit.values()), f"seed {seed} step {step}"
