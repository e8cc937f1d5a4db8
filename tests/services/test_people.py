# SPDX-License-Identifier: Apache-2.0
"""Escalations from any node: listed, checked against what was asked, decided once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nervenet import errors
from nervenet.client.raw import RawClient
from nervenet.records import Attempt, Question
from tests.services.world import World
from tests.support.waiting import until


async def asked(raw: RawClient, workflow_id: str, definition: str = "asks") -> Any:
    """Start a workflow that asks; its escalation, once it is listed."""
    await raw.call("StartWorkflow", workflow_id=workflow_id, definition=definition, input={"json": f'"{workflow_id}?"'})

    async def listed() -> Any:
        page = await raw.call("ListEscalations")
        return next((e for e in page.escalations if e.workflow_id == workflow_id), None)

    return await until(listed)


async def test_a_question_is_listed_and_answered_through_another_node(world: World) -> None:
    owner, other = await world.node(), await world.node()
    here, there = await world.raw(owner), await world.raw(other)
    escalation = await asked(here, "a")
    assert escalation.escalation_id == "a/ask#1" and list(escalation.question.choices) == ["yes", "no"]
    assert (await there.call("GetWorkflow", workflow_id="a")).workflow.open_escalations == ["a/ask#1"]
    answer = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}, "resolver": "ana"}
    resolved = await there.call("ResolveEscalation", escalation_id="a/ask", resolution=answer)
    assert resolved.escalation.state == 2 and resolved.escalation.resolution.resolver == "ana"
    done = await there.call("GetWorkflow", workflow_id="a", wait={"seconds": 10})
    assert done.workflow.output.value.string_value == "yes"

    async def none_open() -> bool:
        return (await here.call("ListEscalations")).open_count == 0

    await until(none_open)
    past = await here.call("ListEscalations", workflow_id="a", state="ESCALATION_STATE_RESOLVED")
    assert [e.escalation_id for e in past.escalations] == ["a/ask#1"]


async def test_of_two_people_one_wins_and_the_other_is_told_who(world: World) -> None:
    one, other = await world.node(), await world.node()
    here, there = await world.raw(one), await world.raw(other)
    await asked(here, "a")

    def say(raw: RawClient, word: str, who: str) -> Any:
        answer = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": f'"{word}"'}, "resolver": who}
        return raw.call("ResolveEscalation", escalation_id="a/ask#1", resolution=answer)

    said = await asyncio.gather(say(here, "yes", "ana"), say(there, "no", "ben"), return_exceptions=True)
    lost = [error for error in said if isinstance(error, errors.AlreadyClosed)]
    won = [answer for answer in said if not isinstance(answer, BaseException)]
    assert len(lost) == len(won) == 1
    winner = won[0].escalation.resolution.resolver
    assert lost[0].reason == "ESCALATION_CLOSED" and lost[0].metadata["resolver"] == winner


async def test_an_answer_must_fit_what_was_asked(world: World) -> None:
    raw = await world.raw(await world.node())
    await asked(raw, "choice")
    await asked(raw, "number", "counts")

    async def refused(id: str, resolution: dict[str, Any]) -> str:
        with pytest.raises(errors.InvalidRequest) as error:
            await raw.call("ResolveEscalation", escalation_id=id, resolution=resolution)
        ((field, _),) = error.value.fields
        return field

    complete = {"action": "ESCALATION_ACTION_COMPLETE"}
    assert await refused("choice/ask", {**complete, "value": {"json": '"maybe"'}}) == "resolution.value"
    assert await refused("number/ask", {**complete, "value": {"json": '"three"'}}) == "resolution.value"
    assert await refused("number/ask", {**complete, "value": {"json": "{"}}) == "resolution.value.json"
    assert await refused("number/ask", {}) == "resolution.action"
    assert await refused("nonsense", complete) == "escalation_id"
    with pytest.raises(errors.NotFound):
        await raw.call("GetEscalation", escalation_id="choice/ask#2")
    with pytest.raises(errors.NotFound):
        await raw.call("GetEscalation", escalation_id="nobody/ask")


async def test_every_problem_of_an_answer_is_told_with_its_path(world: World) -> None:
    """And a schema that an agent wrote past every check is no reason for which nobody can answer."""
    node = await world.node()
    raw = await world.raw(node)
    complete = {"action": "ESCALATION_ACTION_COMPLETE"}
    schema = {
        "type": "object",
        "required": ["by"],
        "properties": {"n": {"type": "array", "items": {"type": "integer"}}},
    }
    for i, text in enumerate((json.dumps(schema), "{", '{"type": 7}', "7", '{"$ref": "#/nowhere"}')):
        await raw.call("StartWorkflow", workflow_id=f"c{i}", definition="calls", input={"json": '"x"'})
        question = Question("Who?", "agent", schema=text.encode())
        await node.facts.record(f"c{i}", 1, "attempt:greet#1", Attempt(None, question), "an-agent")

        async def listed(id: str = f"c{i}/greet#1") -> bool:
            return any(e.escalation_id == id for e in (await raw.call("ListEscalations")).escalations)

        await until(listed)
    wrong = {**complete, "value": {"json": '{"n": [1, "two", null]}'}}
    with pytest.raises(errors.InvalidRequest) as error:
        await raw.call("ResolveEscalation", escalation_id="c0/greet", resolution=wrong)
    assert dict(error.value.fields) == {
        "resolution.value": "'by' is a required property",
        "resolution.value.n[1]": "'two' is not of type 'integer'",
        "resolution.value.n[2]": "None is not of type 'integer'",
    }
    for i in range(1, 5):
        answer = {**complete, "value": {"json": '"Ada"'}}
        await raw.call("ResolveEscalation", escalation_id=f"c{i}/greet", resolution=answer)
        done = await raw.call("GetWorkflow", workflow_id=f"c{i}", wait={"seconds": 10})
        assert done.workflow.output.value.string_value == "Ada"


async def test_a_human_can_fail_the_step_or_cancel_the_workflow(world: World) -> None:
    raw = await world.raw(await world.node())
    await asked(raw, "fail")
    await asked(raw, "cancel")
    for which, action in (("fail", "FAIL"), ("cancel", "CANCEL_WORKFLOW")):
        resolution = {"action": f"ESCALATION_ACTION_{action}", "comment": "not today"}
        await raw.call("ResolveEscalation", escalation_id=f"{which}/ask#1", resolution=resolution)
    failed = (await raw.call("GetWorkflow", workflow_id="fail", wait={"seconds": 10})).workflow
    assert failed.state == 6 and failed.failure.message.endswith("not today")
    canceled = (await raw.call("GetWorkflow", workflow_id="cancel", wait={"seconds": 10})).workflow
    assert canceled.state == 7


async def test_large_questions_come_in_pages_that_fit_a_message(world: World) -> None:
    raw = await world.raw(await world.node())
    for i in range(3):
        await raw.call(
            "StartWorkflow", workflow_id=f"big-{i}", definition="asks", input={"json": f'"{i}{"?" * 600_000}"'}
        )

    async def three() -> bool:
        return (await raw.call("ListEscalations")).open_count == 3

    await until(three)
    seen, token, pages = [], "", 0
    while pages == 0 or token:
        page = await raw.call("ListEscalations", page_token=token)
        seen += [e.workflow_id for e in page.escalations]
        token, pages = page.next_page_token, pages + 1
    assert sorted(seen) == ["big-0", "big-1", "big-2"] and pages == 3


async def test_a_row_that_its_owner_could_not_clear_is_not_counted_and_goes_with_the_next_owner(world: World) -> None:
    """The owner dies between the decision and the row."""
    async with world.serving() as owner:
        here = await world.raw(owner)
        await asked(here, "a", "asks_twice")
        answer = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}, "resolver": "ana"}
        await here.call("ResolveEscalation", escalation_id="a/ask#1", resolution=answer)

        async def second() -> bool:
            return [e.escalation_id for e in (await here.call("ListEscalations")).escalations] == ["a/ask.2#1"]

        await until(second)
        keys, link = owner.context.keys, owner.context.link
        await link.call("ZADD", keys.escalations, "+inf", "a/ask#1")
        page = await here.call("ListEscalations")
        assert [e.escalation_id for e in page.escalations] == ["a/ask.2#1"] and page.open_count == 1
    heir = await world.node()
    there = await world.raw(heir)

    async def cleared() -> bool:
        rows = await heir.context.link.call("ZRANGE", keys.escalations, 0, -1)
        return bool(rows == [b"a/ask.2#1"])

    await until(cleared)
    assert (await there.call("ListEscalations")).open_count == 1
