# SPDX-License-Identifier: Apache-2.0
"""Workflows as data over the contract: stored once, refused with every path, started by whoever comes, on any node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nervenet import errors
from tests.services.world import World
from tests.support.waiting import until

APPROVAL: dict[str, Any] = {
    "name": "approval",
    "version": 1,
    "description": "Ask, then say what was decided.",
    "steps": [
        {
            "name": "release",
            "ask": {
                "question": "'Release ' + input.name + '?'",
                "choices": ["yes", "no"],
                "deadline": {"seconds": 600},
                "default_answer": {"string_value": "no"},
            },
        },
        {
            "name": "words",
            "depends_on": ["release"],
            "value": "steps.release.resolver + ' said ' + steps.release.value",
        },
    ],
    "output": "{'name': input.name, 'words': steps.words}",
}


def version(number: int, **changes: Any) -> dict[str, Any]:
    return {**APPROVAL, "version": number, **changes}


async def test_a_stored_definition_is_started_by_name_and_asks_a_human(world: World) -> None:
    raw = await world.raw(await world.node())
    stored = await raw.call("PutDefinition", definition=APPROVAL)
    assert stored.created and stored.definition.create_time.seconds > 0
    start = {"workflow_id": "r-1", "definition": "approval", "input": {"json": '{"name": "1.0"}'}}
    assert (await raw.call("StartWorkflow", start)).created
    again = await raw.call("StartWorkflow", start)
    assert not again.created and again.workflow.version == 1

    async def asked() -> Any:
        return (await raw.call("ListEscalations")).escalations

    (open_,) = await until(asked)
    assert (open_.escalation_id, open_.question.text) == ("r-1/release#1", "Release 1.0?")
    resolution = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}, "resolver": "ana"}
    await raw.call("ResolveEscalation", escalation_id=open_.escalation_id, resolution=resolution)
    ended = await raw.call("GetWorkflow", workflow_id="r-1", wait={"seconds": 10}, payload_format="PAYLOAD_FORMAT_RAW")
    assert ended.workflow.output.json == '{"name":"1.0","words":"ana said yes"}'
    journal = await raw.call("ListJournal", workflow_id="r-1")
    assert journal.entries[0].start.runtime == "declared-1"
    names = [entry.name for entry in journal.entries]
    assert names == ["start", "escalated:release#1", "decided:release#1", "task:release", "close"]


async def test_the_same_content_again_is_no_change_and_other_content_is_refused(world: World) -> None:
    raw = await world.raw(await world.node())
    first = await raw.call("PutDefinition", definition=APPROVAL)
    again = await raw.call("PutDefinition", definition=APPROVAL)
    assert not again.created and again.definition == first.definition
    with pytest.raises(errors.AlreadyExists, match="put it as version 2") as refused:
        await raw.call("PutDefinition", definition=version(1, output="null"))
    assert refused.value.reason == "DEFINITION_EXISTS"
    got = await raw.call("GetDefinition", name="approval")
    assert got.definition == first.definition


async def test_of_many_who_put_at_once_one_wins(world: World) -> None:
    nodes = [await world.node(), await world.node()]
    raws = [await world.raw(node) for node in nodes]

    async def put(i: int) -> str:
        try:
            await raws[i % 2].call("PutDefinition", definition=version(1, output=f"'{i}'"))
        except errors.AlreadyExists:
            return ""
        return f"'{i}'"

    won = [output for output in await asyncio.gather(*(put(i) for i in range(10))) if output]
    (found,) = {(await raw.call("GetDefinition", name="approval")).definition.output for raw in raws}
    assert won == [found]


async def test_a_start_takes_the_highest_version_and_a_run_stays_on_its_own(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("PutDefinition", definition=version(1))
    await raw.call("StartWorkflow", workflow_id="old", definition="approval", input={"json": '{"name": "a"}'})
    await raw.call("PutDefinition", definition=version(10, steps=[{"name": "n", "value": "10"}], output="steps.n"))
    await raw.call("PutDefinition", definition=version(9, steps=[{"name": "n", "value": "9"}], output="steps.n"))
    for given, wanted in ((0, "10"), (9, "9")):
        answer = await raw.call(
            "StartWorkflow",
            workflow_id=f"v-{given}",
            definition="approval",
            version=given,
            wait={"seconds": 10},
            payload_format="PAYLOAD_FORMAT_RAW",
        )
        assert (answer.workflow.version, answer.workflow.output.json) == (int(wanted), wanted)
    old = (await raw.call("GetWorkflow", workflow_id="old")).workflow
    assert (old.version, list(old.open_escalations)) == (1, ["old/release#1"])
    with pytest.raises(errors.NotFound, match="'approval' version 7"):
        await raw.call("StartWorkflow", workflow_id="none", definition="approval", version=7)


async def test_another_node_goes_on_with_what_it_never_ran(world: World) -> None:
    async with world.serving() as first:
        raw = await world.raw(first)
        await raw.call("PutDefinition", definition=APPROVAL)
        await raw.call("StartWorkflow", workflow_id="r-1", definition="approval", input={"json": '{"name": "b"}'})
        second = await world.node()
        await until(lambda: len(first.context.table.nodes) == 2)
        await first.drain()
    await until(lambda: second.hosted.get("r-1"))
    other = await world.raw(second)
    resolution = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"no"'}, "resolver": "bob"}
    await other.call("ResolveEscalation", escalation_id="r-1/release#1", resolution=resolution)
    ended = await other.call(
        "GetWorkflow", workflow_id="r-1", wait={"seconds": 10}, payload_format="PAYLOAD_FORMAT_RAW"
    )
    assert ended.workflow.output.json == '{"name":"b","words":"bob said no"}'


async def test_every_problem_is_a_field_violation(world: World) -> None:
    raw = await world.raw(await world.node())
    broken = version(
        0,
        steps=[
            {"name": "a", "call": {"capability": "no spaces"}, "retry": {"backoff_multiplier": 0.5}},
            {"name": "b", "value": "1", "depends_on": ["aa"]},
        ],
    )
    with pytest.raises(errors.InvalidRequest) as refused:
        await raw.call("PutDefinition", definition=broken)
    assert refused.value.fields == (
        ("definition.steps[0].retry.backoff_multiplier", "0.5: a number, at least 1"),
        ("definition.version", "0: a whole number, at least 1"),
        (
            "definition.steps[0].call.capability",
            "'no spaces' is not a name: letters, digits, '_' and '-', a letter first, at most 63",
        ),
        ("definition.steps[1].depends_on[0]", "no step 'aa'; did you mean 'a'?"),
        ("definition.output", "line 1, column 31: no step 'words'"),
    )
    assert refused.value.message.endswith("(and 4 more)")
    assert not (await raw.call("ListDefinitions")).definitions


async def test_only_looking_stores_nothing_and_names_of_code_are_taken(world: World) -> None:
    raw = await world.raw(await world.node())
    assert not (await raw.call("PutDefinition", definition=APPROVAL, validate_only=True)).created
    with pytest.raises(errors.NotFound) as missing:
        await raw.call("GetDefinition", name="approval")
    assert missing.value.reason == "DEFINITION_NOT_FOUND"
    with pytest.raises(errors.AlreadyExists, match="a live node has code of that name"):
        await raw.call("PutDefinition", definition=version(1, name="echo"))


async def test_lists_come_in_pages_without_the_steps(world: World) -> None:
    raw = await world.raw(await world.node())
    for name in ("b", "a", "c"):
        for number in (1, 2):
            await raw.call("PutDefinition", definition=version(number, name=name))

    async def listed(**request: Any) -> list[tuple[str, int]]:
        found, token = [], ""
        while True:
            page = await raw.call("ListDefinitions", page_size=2, page_token=token, **request)
            assert not any(each.steps or each.output for each in page.definitions)
            found += [(each.name, each.version) for each in page.definitions]
            if not (token := page.next_page_token):
                return found

    assert await listed() == [("a", 2), ("b", 2), ("c", 2)]
    assert await listed(name="b") == [("b", 2), ("b", 1)]


async def test_the_definition_bounds_a_run_whose_start_does_not(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("PutDefinition", definition=version(1, timeout={"nanos": 300_000_000}))
    answer = await raw.call(
        "StartWorkflow", definition="approval", input={"json": '{"name": "c"}'}, wait={"seconds": 20}
    )
    assert answer.workflow.state == 8, answer.workflow  # TIMED_OUT


async def test_a_redis_that_lost_a_definition_gets_it_back(world: World) -> None:
    node = await world.node()
    raw = await world.raw(node)
    first = await raw.call("PutDefinition", definition=APPROVAL)
    keys = node.context.keys
    for key in (keys.definition("approval"), keys.definitions):
        await node.context.link.call("DEL", key)
    with pytest.raises(errors.NotFound):
        await raw.call("GetDefinition", name="approval")
    await node.recovery.came_back()
    assert (await raw.call("GetDefinition", name="approval")).definition == first.definition
    assert [each.name for each in (await raw.call("ListDefinitions")).definitions] == ["approval"]


async def test_children_may_be_data_or_code_and_code_may_have_them(world: World) -> None:
    raw = await world.raw(await world.node())
    child = {"name": "double", "version": 1, "steps": [{"name": "d", "value": "input + input"}], "output": "steps.d"}
    each = {
        "name": "each",
        "for_each": {"items": "input", "concurrency": 2},
        "workflow": {"definition": "double", "input": "item"},
    }
    code = {"name": "code", "workflow": {"definition": "echo", "input": "input[0]"}}
    lost = {"name": "lost", "workflow": {"definition": "nowhere"}, "recover": "error.message.contains('nowhere')"}
    parent = {
        "name": "parent",
        "version": 1,
        "steps": [each, code, lost],
        "output": "[steps.each, steps.code, steps.lost]",
    }
    for definition in (child, parent):
        await raw.call("PutDefinition", definition=definition)
    answer = await raw.call(
        "StartWorkflow",
        definition="parent",
        workflow_id="p",
        input={"json": '["a", "b", "c"]'},
        wait={"seconds": 20},
        payload_format="PAYLOAD_FORMAT_RAW",
    )
    assert answer.workflow.output.json == '[["aa","bb","cc"],"a",true]', answer.workflow
