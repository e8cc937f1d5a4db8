# SPDX-License-Identifier: Apache-2.0
"""The steps of a workflow in short: what is counted, what is told itself, and that a summary misses nothing."""

from __future__ import annotations

from collections import Counter

from nervenet.cli.render.folding import ALIKE as CLI_ALIKE
from nervenet.cli.render.folding import NAMED as CLI_NAMED
from nervenet.node.services.step_messages import tell_summary, tell_task
from nervenet.node.services.summary import ALIKE, MOST_ALONE, NAMED, Member, summarize
from nervenet.records import Usage
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2
from tests.services.test_history import BAD, T, attempt, history, outcome
from tests.services.world import World

OK, FAILED, RUNNING, ASKED = (
    task.TASK_STATE_SUCCEEDED,
    task.TASK_STATE_FAILED,
    task.TASK_STATE_RUNNING,
    task.TASK_STATE_WAITING_FOR_HUMAN,
)


def member(
    step: str,
    state: int = OK,
    at: int = 0,
    *,
    capability: str = "fetch",
    failed: bool = False,
    usage: tuple[Usage, ...] = (),
) -> Member:
    return Member(step, capability, state, T + at, T + at + 5, failed, usage, task.Task(step=step))


def names(members: list[Member]) -> list[str]:
    return [each.step for each in members]


def test_a_page_and_the_command_line_fold_the_same_steps() -> None:
    assert (ALIKE, NAMED) == (CLI_ALIKE, CLI_NAMED)


def test_nine_steps_that_are_alike_are_told_and_ten_are_a_group() -> None:
    nine = [member(f"fetch.{n}", at=n) for n in range(9)]
    assert summarize(nine).groups == []
    assert names(summarize(reversed(nine)).told) == names(nine), "as they began"
    ten = [*nine, member("fetch", at=9)]
    (group,) = summarize(ten).groups
    assert (group.name, group.counts, group.ended_ms) == ("fetch", {OK: 10}, T + 14)
    assert summarize(ten).told == []


def test_another_capability_is_another_group() -> None:
    found = summarize(member(f"fetch.{n}", at=n, capability="ab"[n % 2]) for n in range(20))
    assert [(group.capability, len(group.members)) for group in found.groups] == [("a", 10), ("b", 10)]


def test_of_a_group_the_first_steps_that_need_a_look_are_told() -> None:
    states = dict.fromkeys(range(40), OK) | dict.fromkeys((3, 9, 12, 30), FAILED) | dict.fromkeys((5, 6, 7, 8), ASKED)
    found = summarize(member(f"fetch.{n}", state, n, failed=n == 1) for n, state in states.items())
    assert names(found.told) == ["fetch.3", "fetch.5", "fetch.6", "fetch.7", "fetch.9", "fetch.12"]
    (group,) = found.groups
    assert group.troubled == 4, "a step that succeeded after a failed attempt needs no look"
    assert group.ended_ms == 0, "some are open"


def test_a_step_that_is_tried_again_is_in_trouble() -> None:
    steps = [member(f"fetch.{n}", RUNNING, n, failed=n == 7) for n in range(12)]
    (group,) = summarize(steps).groups
    assert (group.troubled, names(group.to_look_at)) == (1, ["fetch.7"])


def test_a_step_that_the_request_names_is_told() -> None:
    steps = [member(f"fetch.{n}", at=n) for n in range(12)]
    assert names(summarize(steps, {"fetch.4"}).told) == ["fetch.4"]


def test_of_steps_that_are_unlike_the_first_are_told() -> None:
    steps = [member(f"step-{n}", at=MOST_ALONE * 2 - n) for n in range(MOST_ALONE * 2)]
    found = summarize(steps)
    assert names(found.told) == names(steps[: MOST_ALONE - 1 : -1]), "those that began first"


def test_tokens_of_all_steps_are_counted() -> None:
    used = (Usage("small", 3, 1), Usage("large", 10, 2))
    assert summarize(member(f"ask.{n}", usage=used) for n in range(11)).usage == {"small": (33, 11), "large": (110, 22)}


async def test_what_is_told_and_what_is_counted_are_all_steps() -> None:
    found = history(
        *((f"task:fetch.{n}", n, outcome(n, n + 1, n + 2)) for n in range(15)),
        ("attempt:pay#1", 20, attempt(16, 17, 20)),
        ("task:pay", 30, outcome(25, 26, 30)),
    )
    told = workflow_pb2.Workflow(workflow_id="w", run=1)
    kept = await tell_summary(told, [*found.steps.values()], ())
    for step in kept:
        tell_task(told.tasks.add(), "w", 1, step, pb.GetWorkflowRequest(), lambda size: True)  # type: ignore[arg-type]
    (group,) = told.task_groups
    assert told.task_count == 16
    assert Counter({each.state: each.count for each in group.state_counts}) == Counter({OK: 15})
    assert (group.start_time.ToMilliseconds(), group.end_time.ToMilliseconds()) == (T, T + 16)
    assert [(each.step, len(each.failed_attempts)) for each in told.tasks] == [("pay", 1)]
    assert told.tasks[0].failed_attempts[0].message == BAD.message


async def test_pending_steps_are_counted_too_and_a_request_without_the_field_gets_them_all(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("StartWorkflow", workflow_id="w", definition="fans", input={"json": "25"})
    short = (await raw.call("GetWorkflow", workflow_id="w", summarize_tasks=True)).workflow
    whole = (await raw.call("GetWorkflow", workflow_id="w")).workflow
    (group,) = short.task_groups
    assert (short.task_count, len(short.tasks)) == (25, 0)
    assert [(each.state, each.count) for each in group.state_counts] == [(task.TASK_STATE_QUEUED, 25)]
    assert (len(whole.tasks), whole.task_count, len(whole.task_groups)) == (25, 0, 0)
    assert not group.HasField("end_time")
