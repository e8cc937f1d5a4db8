# SPDX-License-Identifier: Apache-2.0
"""Every feature of LangGraph in the test kit: dropped and rebuilt after every entry, with the results of plain LangGraph."""

from __future__ import annotations

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from nervenet import AgentError, WorkflowFailed
from nervenet.dev import running
from nervenet.testing import WorkflowTest
from tests.frameworks.journals import same_with_every_seed
from tests.frameworks.langgraph import agents, graphs
from tests.frameworks.langgraph.cases import CASES
from tests.frameworks.langgraph.kit import result_of, scripted

SEEDS = [1 + 977 * n for n in range(20)]
ENDS = sorted(set(CASES) - {"failing", "unretried"})
ASKS = {"asking", "gated", "outer", "approved"}


def without_ids(value: Any) -> Any:
    """Messages as what they say: plain LangGraph gives them other ids each time."""
    if isinstance(value, BaseMessage):
        return type(value).__name__, value.content
    if isinstance(value, dict):
        return {key: without_ids(one) for key, one in value.items()}
    return [without_ids(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", sorted(set(ENDS) - ASKS - {"talking", "retrying", "handled"}))
async def test_the_result_is_that_of_plain_langgraph(name: str) -> None:
    case = CASES[name]
    config = case.config or {"configurable": {}}
    config = {**config, "configurable": {"thread_id": "1", **config["configurable"]}}
    plain = await case.graph.compiled.ainvoke(case.input(), config, context=case.context)
    found = result_of(case.graph, case.run())
    assert without_ids(found) == without_ids(plain)


def test_a_loop_with_conditional_edges() -> None:
    run = CASES["loop"].run()
    assert result_of(graphs.loop_graph, run) == {"log": [0, 1, 2, 3, "done"], "n": 4}
    assert run.journal.names == [
        "start",
        "task:loop-count",
        *(f"task:loop-count.{n}" for n in (2, 3, 4)),
        "task:loop-done",
        "close",
    ]


def test_parallel_branches_reducers_and_a_deferred_join() -> None:
    found = result_of(graphs.parallel_graph, CASES["parallel"].run())
    assert found["out"][-1] == "join a,b,c,d of 8, best 100"
    assert found["names"] == {"a", "aa", "b", "bb", "c", "cc", "d", "dd"}


def test_send_to_twenty_and_a_node_in_the_workflow_itself() -> None:
    run = CASES["map_reduce"].run()
    assert result_of(graphs.map_graph, run)["total"] == sum(n * n for n in range(20))
    assert len(run.journal) == 23, "start, split, 20 squares, close: add_up is local"


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_send_to_a_thousand_on_a_node() -> None:
    graph, items = graphs.map_graph, list(range(1000))
    async with running(graphs.mesh) as client:
        found = graph.decode(await client.run(graphs.map_reduce, graph.encode({"items": items})))
    assert found["total"] == sum(n * n for n in items)


def test_commands_with_goto_update_send_and_in_a_list() -> None:
    assert result_of(graphs.command_graph, CASES["command"].run()) == {"log": ["first", "third", "fourth", 7], "n": 1}


def test_interrupts_are_answered_independently_and_in_any_order() -> None:
    run = CASES["asking"].run()
    assert result_of(graphs.asking_graph, run) == {"said": ["left L", "right R", "both x y"]}
    decided = [name for name in run.journal.names if name.startswith("decided:")]
    assert decided[:2] == ["decided:ask.2#1", "decided:ask#1"], "the second question was answered first"


def test_interrupt_before_and_after_a_node() -> None:
    run = CASES["gated"].run()
    assert result_of(graphs.gated_graph, run) == {"log": [0, "done"], "n": 1}
    names = list(run.journal.names)
    assert names.index("decided:ask#1") < names.index("task:gated-count")
    assert names.index("task:gated-done") < names.index("escalated:ask.2#1")


def test_subgraphs_expanded_inline_and_called_and_a_command_to_the_parent() -> None:
    run = CASES["outer"].run()
    assert result_of(graphs.outer_graph, run)["log"] == [
        *["inner one", "inner two A"],  # expanded: its nodes are tasks
        *[
            "inner one",
            "inner two A",
            "inner one",
            "inner two B",
        ],  # inline: LangGraph gives it the log, and it returns its own
        *["calls", "inner one", "inner two C"],
        *["to parent", "after", "to parent", "after"],
    ]
    names = run.journal.names
    assert "task:outer-expanded-one" in names and "task:outer-inline" in names and "task:outer-upper-to_parent" in names


def test_message_ids_are_the_same_in_each_replay_also_in_a_reducer_of_the_user() -> None:
    first, second = CASES["talking"].run(), CASES["talking"].run(seed=1)
    messages = result_of(graphs.talking_graph, first)["messages"]
    assert [message.content for message in messages[:3]] == ["hi", "hello brave new world", "bye"]
    ids = [message.id for message in (*messages, *result_of(graphs.talking_graph, first)["recent"])]
    assert all(ids)
    assert ids[0] != result_of(graphs.talking_graph, second)["messages"][0].id, "they come from the seed of the run"


def test_a_retry_policy_retries_what_it_names() -> None:
    run = CASES["retrying"].run()
    assert result_of(graphs.retrying_graph, run) == {"log": ["in the end"]}
    assert list(run.journal.names[1:3]) == ["attempt:retrying-flaky#1", "attempt:retrying-flaky#2"]
    assert timedelta(seconds=0.6) <= run.elapsed < timedelta(seconds=0.7), "pauses of 0.2 s and 0.4 s"


@pytest.mark.parametrize(("name", "error"), [("failing", graphs.Hopeless), ("unretried", graphs.Flaky)])
def test_other_errors_and_nodes_without_a_policy_are_tried_once(name: str, error: type[Exception]) -> None:
    graphs.TRIES.clear()
    run = scripted(graphs.GRAPHS[name]).run(getattr(graphs, name), {})
    with pytest.raises(WorkflowFailed, match=error.__name__):
        _ = run.result
    assert len(graphs.TRIES) == 1


def test_typed_states_context_config_and_store() -> None:
    found = result_of(graphs.typed_graph, CASES["typed"].run())
    assert found["mood"] is graphs.Mood.BAD and found["tags"] == ["ana", "InMemoryStore", "n", "d7", "thread"]
    assert result_of(graphs.tree_graph, CASES["tree"].run()) == {
        "name": "a!!",
        "path": ("x", "a", "a!"),
        "when": timedelta(days=2),
    }


def test_an_agent_of_langchain_calls_three_tools_in_parallel() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Pydantic serializer warnings")  # langchain's own, of the context
        run = CASES["react"].run()
    messages = result_of(agents.react_graph, run)["messages"]
    assert [one.content for one in messages if isinstance(one, ToolMessage)] == ["3", "2 messages", "ana, 2 messages"]
    assert isinstance(messages[-1], AIMessage) and messages[-1].content == "3"
    assert sum(name.startswith("task:react-tools") for name in run.journal.names) == 3


def test_a_human_approves_a_tool_of_langchain() -> None:
    run = CASES["approved"].run()
    assert result_of(agents.approved_graph, run)["messages"][-1].content == "3"
    assert run.elapsed > timedelta(seconds=60)


@pytest.mark.skipif("handled" not in CASES, reason="langgraph has error handlers since 1.1")
def test_an_error_handler_gets_the_failure() -> None:
    (said,) = result_of(CASES["handled"].graph, CASES["handled"].run())["log"]
    assert said.startswith("repaired breaks: KeyError") and "broken" in said


def test_a_failed_node_cancels_its_siblings() -> None:
    test = WorkflowTest()
    test.stub(graphs.asking_graph.agents["left"], AgentError("broken"), takes=timedelta(seconds=1))
    test.stub(graphs.asking_graph.agents["right"], lambda _: {"value": {}}, takes=timedelta(hours=1))
    run = test.run(graphs.asking, {})
    with pytest.raises(WorkflowFailed, match="broken"):
        _ = run.result
    assert run.elapsed < timedelta(minutes=1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_same_commands_with_twenty_hash_seeds(tmp_path: Path) -> None:
    for name, case in CASES.items():
        case.run(crash_everywhere=False).journal.dump(tmp_path / f"{name}.json")
    assert same_with_every_seed("tests.frameworks.langgraph.cases", tmp_path, SEEDS) == len(CASES)


@pytest.mark.parametrize("name", ["parallel", "react", "outer"])
def test_rebuilt_after_every_entry_in_another_process(name: str) -> None:
    CASES[name].run(other_process=True)


def test_plain_json_goes_in_and_comes_out() -> None:
    test = scripted(graphs.talking_graph)
    said = test.run(graphs.talking, {"messages": [{"role": "user", "content": "hi"}]}).result["messages"]
    assert said[0] == {"type": "human", "content": "hi", "id": said[0]["id"]}
    assert [one["type"] for one in said] == ["human", "ai", "ai", "ai"]
