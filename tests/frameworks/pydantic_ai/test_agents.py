# SPDX-License-Identifier: Apache-2.0
"""Agents in the test kit: dropped and rebuilt after every entry, with the results of plain Pydantic AI."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nervenet import Workflow, WorkflowFailed
from nervenet.testing import Run, WorkflowTest
from tests.frameworks.journals import same_with_every_seed
from tests.frameworks.pydantic_ai import agents
from tests.frameworks.pydantic_ai.kit import handled

SEEDS = [1 + 977 * n for n in range(20)]


def answered(test: WorkflowTest) -> WorkflowTest:
    test.answer("Run refund(order='7')?", "approve", after=timedelta(days=2))
    test.answer("Run refund(order='8')?", "deny", after=timedelta(minutes=1))
    test.answer("What is parcel(order='7')?", {"at": "Oslo"}, after=timedelta(hours=1))
    return test


def run(name: str, **options: Any) -> Run[Any]:
    """One of the workflows, with its answers."""
    test = answered(handled(agents.AGENTS[name], **options))
    workflow: Workflow[Any, Any] = agents.mesh.workflows[(name, 1)]
    return test.run(workflow, "order 7 is broken")


def returns(messages: list[Any]) -> dict[str, Any]:
    return {
        part["tool_call_id"]: part["content"]
        for message in messages
        for part in message["parts"]
        if part["part_kind"] == "tool-return"
    }


def test_tools_a_toolset_approvals_an_external_tool_and_structured_output() -> None:
    found = run("decide")
    output, messages, requests = found.result
    assert output == {"order": "7", "euros": 42} and requests == 3
    read = returns(messages)
    assert read["status-7"] == {"order": "7", "shop": "Bees", "step": "1"}
    assert read["files_read-policy"] == "the text of policy"
    assert read["price-7"] == 42
    assert read["refund-7"] == "refunded 7"
    assert read["refund-8"] == "The tool call was denied."
    assert read["parcel-7"] == {"at": "Oslo"}
    assert read["price-9"] == "there is no order 9"
    decided = [name for name in found.journal.names if name.startswith("decided:")]
    assert decided == ["decided:ask.2#1", "decided:ask.3#1", "decided:ask#1"], "answers come in any order"
    assert found.elapsed > timedelta(days=2)


def test_a_conversation_goes_on_with_messages_as_json() -> None:
    first, second, messages = run("talk").result
    assert (first, second) == ("first", "second")
    assert [part["content"] for one in messages for part in one["parts"]] == [
        "order 7 is broken",
        "first",
        "and then?",
        "second",
    ]


def test_a_local_tool_runs_in_the_workflow() -> None:
    found = run("sums")
    assert found.result == "done "
    assert found.journal.names == ["start", "task:sums-model", "task:sums-tools", "task:sums-model.2", "close"]


def test_ids_and_times_are_the_same_in_each_replay_and_other_in_each_run() -> None:
    first, second = run("talk").result[2], run("talk", seed=1).result[2]
    assert all(one["run_id"] and one["timestamp"] for one in first)
    assert {one["run_id"] for one in first}.isdisjoint(one["run_id"] for one in second)
    assert len({one["run_id"] for one in first}) == 2


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_hash_seeds_bring_the_same_commands(tmp_path: Path) -> None:
    for name in agents.AGENTS:
        run(name).journal.dump(tmp_path / f"{name}.json")
    assert same_with_every_seed("tests.frameworks.pydantic_ai.agents", tmp_path, SEEDS) == len(agents.AGENTS)


def test_a_refused_question_is_a_denial_that_the_model_reads() -> None:
    test = handled(agents.desk)
    for order in ("7", "8"):
        test.answer(f"Run refund(order='{order}')?", PermissionError("not me"), after=timedelta(minutes=1))
    test.answer("What is parcel(order='7')?", {"at": "Oslo"})
    read = returns(test.run(agents.decide, "order 7").result[1])
    assert "not me" in read["refund-7"]


def test_a_tool_that_fails_for_good_fails_the_run() -> None:
    test = answered(handled(agents.desk))
    test.stub(agents.desk.agents["tools"], ValueError("the database is gone"))
    with pytest.raises(WorkflowFailed, match="the database is gone"):
        assert test.run(agents.decide, "order 7").result
