# SPDX-License-Identifier: Apache-2.0
"""Real graphs on a real server. LangGraph's InMemorySaver is the measure: the same history, step by step."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from nervenet.integrations.langgraph import NervenetSaver
from tests.frameworks.langgraph.saver import graphs
from tests.frameworks.langgraph.saver.conftest import SaverFactory

RUNS: dict[str, tuple[Callable[[Any], graphs.Graph], Sequence[Any]]] = {
    "chat": (graphs.chat, [{"messages": [("user", f"question {n}")]} for n in range(4)]),
    "steps": (graphs.steps, [{"text": "in"}, {"text": "again"}]),
    "map_reduce": (graphs.map_reduce, [{"items": list(range(20))}]),
    "nested": (graphs.nested, [{"text": "in"}, Command(resume="yes"), {"text": "again"}, Command(resume="no")]),
    "remembering": (graphs.remembering, [{"text": "1"}, {"text": "2"}, {"text": "3"}]),
    "commands": (graphs.commands, [{"text": "in"}]),
    "questions": (graphs.questions, [{"text": "in"}]),
}


def new_thread() -> Any:
    return {"configurable": {"thread_id": str(uuid.uuid4())}}


def steady(value: Any) -> Any:
    """What is the same in each run: no ids of messages that LangGraph makes up."""
    if isinstance(value, dict):
        return {key: steady(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [steady(each) for each in value]
    if hasattr(value, "content") and hasattr(value, "type"):
        return value.type, value.content
    return value


def facts(snapshot: Any) -> Any:
    tasks = sorted((task.name, [each.value for each in task.interrupts], str(task.error)) for task in snapshot.tasks)
    metadata = {key: snapshot.metadata.get(key) for key in ("source", "step")} if snapshot.metadata else None
    return steady(snapshot.values), sorted(snapshot.next), metadata, tasks, snapshot.parent_config is None


def history(graph: graphs.Graph, config: Any) -> list[Any]:
    return [facts(snapshot) for snapshot in graph.get_state_history(config)]


def tuples(saver: BaseCheckpointSaver[Any], config: Any) -> list[Any]:
    """All that a checkpointer has of a thread in all namespaces, without ids of tasks and checkpoints."""

    def namespace(ns: str) -> str:
        return "|".join(part.partition(":")[0] for part in ns.split("|"))

    thread = {"configurable": {"thread_id": config["configurable"]["thread_id"]}}
    return sorted(
        (
            namespace(found.config["configurable"]["checkpoint_ns"]),
            found.metadata["step"],
            found.metadata["source"],
            repr(sorted(found.checkpoint["channel_values"])),
            repr(sorted(found.checkpoint["channel_versions"])),
            repr(sorted(write[1] for write in found.pending_writes or [])),
        )
        for found in saver.list(thread)
    )


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("name", RUNS)
def test_the_same_history_as_in_memory(saver: NervenetSaver, name: str, durability: Any) -> None:
    build, inputs = RUNS[name]
    seen = []
    for checkpointer in (InMemorySaver(), saver):
        graph, config = build(checkpointer), new_thread()
        results = [steady(graph.invoke(given, config, durability=durability)) for given in inputs]
        for result in results:
            result.pop("__interrupt__", None)
        seen.append((results, history(graph, config), tuples(checkpointer, config)))
    assert seen[0] == seen[1]
    assert len(seen[1][1]) >= len(inputs)


@pytest.mark.parametrize("name", RUNS)
async def test_the_same_with_an_event_loop(saver: NervenetSaver, name: str) -> None:
    build, inputs = RUNS[name]
    seen = []
    for checkpointer in (InMemorySaver(), saver):
        graph, config = build(checkpointer), new_thread()
        results = [steady(await graph.ainvoke(given, config)) for given in inputs]
        for result in results:
            result.pop("__interrupt__", None)
        seen.append((results, [facts(snapshot) async for snapshot in graph.aget_state_history(config)]))
    assert seen[0] == seen[1]


def test_two_interrupts_answered_in_any_order_by_different_savers(make_saver: SaverFactory) -> None:
    config = new_thread()
    first = graphs.questions(make_saver()).invoke({"text": "in"}, config)
    by_question = {each.value: each.id for each in first["__interrupt__"]}
    assert set(by_question) == {"left?", "right?"}

    second = graphs.questions(make_saver()).invoke(Command(resume={by_question["right?"]: "R"}), config)
    open_questions = {each.value: each.id for each in second["__interrupt__"]}
    assert set(open_questions) == {"left?", "sure?"}

    third = graphs.questions(make_saver()).invoke(Command(resume={open_questions["left?"]: "L"}), config)
    assert [each.value for each in third["__interrupt__"]] == ["sure?"]

    last = graphs.questions(make_saver()).invoke(Command(resume="S"), config)
    assert last["text"] == "left L | right R S"


def test_time_travel_and_forks(saver: NervenetSaver) -> None:
    graph, config = graphs.steps(saver), new_thread()
    graph.invoke({"text": "in"}, config)
    before_two = next(one for one in graph.get_state_history(config) if one.next == ("two",))

    again = graph.invoke(None, before_two.config)
    assert again["log"] == ["one of 0", "two of 1", "three of 2"]

    changed = graph.update_state(before_two.config, {"log": ["by hand"]})
    assert graph.get_state(changed).values["log"] == ["one of 0", "by hand"]
    forked = graph.invoke(None, changed)
    assert forked["log"] == ["one of 0", "by hand", "two of 2", "three of 3"]

    # the first branch is as it was, and the newest state is that of the fork
    assert graph.get_state(before_two.config).values["log"] == ["one of 0"]
    assert graph.get_state(config).values == forked
    ends = [one.values["log"] for one in graph.get_state_history(config) if not one.next]
    assert ends == [forked["log"], again["log"], again["log"]]


def test_state_of_subgraphs(saver: NervenetSaver) -> None:
    graph, config = graphs.nested(saver), new_thread()
    graph.invoke({"text": "in"}, config)
    state = graph.get_state(config, subgraphs=True)
    inner = state.tasks[0].state.tasks[0].state
    assert inner.next == ("ask",)
    assert inner.values["log"] == ["before"]
    graph.update_state(inner.config, {"log": ["by hand"]})
    assert graph.invoke(Command(resume="yes"), config)["log"][-2:] == ["by hand", "inner yes"]


@pytest.mark.parametrize("name", ["chat", "nested", "remembering", "questions"])
def test_keeping_one_checkpoint_is_enough_to_go_on(make_saver: SaverFactory, name: str) -> None:
    """With keep=1 each run ends as with all checkpoints, also when it was interrupted in a subgraph."""
    build, inputs = RUNS[name]
    results = []
    for checkpointer in (InMemorySaver(), make_saver(keep=1)):
        graph, config = build(checkpointer), new_thread()
        done = [steady(graph.invoke(given, config)) for given in inputs]
        for result in done:
            result.pop("__interrupt__", None)
        results.append(done)
        if isinstance(checkpointer, NervenetSaver):
            roots = list(graph.get_state_history(config))
            assert len(roots) == 1
            assert {each[0] for each in tuples(checkpointer, config)} <= {"", "call", "middle", "middle|inner"}
    assert results[0] == results[1]


async def test_one_saver_in_two_event_loops_and_in_threads(saver: NervenetSaver) -> None:
    """Blocking methods inside a running loop work too: they block this loop for one round trip, as LangGraph's do."""
    import asyncio

    config = new_thread()
    turn: Any = {"messages": [("user", "hello")]}
    await graphs.chat(saver).ainvoke(turn, config)
    graphs.chat(saver).invoke(turn, config)
    await asyncio.to_thread(lambda: asyncio.run(graphs.chat(saver).ainvoke(turn, config)))
    many = [asyncio.to_thread(graphs.chat(saver).invoke, turn, new_thread()) for _ in range(16)]
    assert {len(result["messages"]) for result in await asyncio.gather(*many)} == {2}
    assert len(graphs.chat(saver).get_state(config).values["messages"]) == 6


def test_many_runs_of_one_thread_at_once(make_saver: SaverFactory) -> None:
    """LangGraph does not order runs of one thread. Each checkpoint is whole nevertheless."""
    from concurrent.futures import ThreadPoolExecutor

    savers, config = [make_saver(keep=5), make_saver(keep=5)], new_thread()

    def turn(n: int) -> None:
        graphs.chat(savers[n % 2]).invoke({"messages": [("user", f"question {n}")]}, config)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(turn, range(40)))
    for snapshot in graphs.chat(make_saver()).get_state_history(config):
        assert set(snapshot.values) <= {"messages"}
        assert all(message.content for message in snapshot.values.get("messages", []))
    assert graphs.chat(make_saver()).get_state(config).values["messages"]
