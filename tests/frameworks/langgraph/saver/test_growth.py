# SPDX-License-Identifier: Apache-2.0
"""What a thread takes in Redis: values once, lists of messages as differences, nothing that no checkpoint needs."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint, uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from nervenet.dev.servers import Server
from nervenet.integrations.langgraph import NervenetSaver
from nervenet.integrations.langgraph.saver.records import CHAIN_LENGTH
from tests.frameworks.langgraph.saver import graphs
from tests.frameworks.langgraph.saver.conftest import SaverFactory

Client = Any  # redis-py's client, whose types say Awaitable or value


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    with redis.Redis.from_url(redis_url) as one:
        yield one


def key_of(client: Client, thread: str) -> bytes:
    (key,) = client.scan_iter(f"nn:*:checkpoints:{{{thread}}}", count=10_000)
    return bytes(key)


def members(client: Client, thread: str) -> list[bytes]:
    return [bytes(member) for member in client.zrange(key_of(client, thread), 0, -1)]


def kinds(client: Client, thread: str) -> Counter[str]:
    return Counter(chr(member[0]) for member in members(client, thread))


def config_of(thread: str, **more: str) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


def in_memory_bytes(saver: InMemorySaver) -> int:
    """All bytes that InMemorySaver has as serialized values."""
    blobs = sum(len(value[1]) for value in saver.blobs.values())
    checkpoints = sum(
        len(checkpoint[1]) + len(metadata[1])
        for threads in saver.storage.values()
        for namespaces in threads.values()
        for checkpoint, metadata, _ in namespaces.values()
    )
    return blobs + checkpoints + sum(len(each[2][1]) for writes in saver.writes.values() for each in writes.values())


def test_a_chat_of_100_turns(server: Server, record_property: Any) -> None:
    """200 messages of 200 characters: InMemorySaver has the whole list again in each of 300 checkpoints."""
    memory, thread = InMemorySaver(), str(uuid.uuid4())
    namespace = f"t{uuid.uuid4().hex[:12]}"
    with NervenetSaver(server.url, namespace=namespace) as saver, redis.Redis.from_url(server.url) as client:
        for graph in (graphs.chat(memory), graphs.chat(saver)):
            for turn in range(100):
                question = HumanMessage(f"question {turn} ".ljust(200, "?"), id=f"h{turn}")
                graph.invoke({"messages": [question]}, config_of(thread))
        ours = members(client, thread)
        data, used = sum(map(len, ours)), client.memory_usage(key_of(client, thread), samples=0)
        theirs, checkpoints = in_memory_bytes(memory), kinds(client, thread)["c"]
        figures = f"{checkpoints} checkpoints: {data} bytes, {used} with Redis' overhead; InMemorySaver {theirs}"
        record_property("growth", figures)
        print(figures)
        assert checkpoints == 300
        assert data < theirs / 8, figures
        assert used < theirs / 4, figures
        assert list(graphs.chat(saver).get_state(config_of(thread)).values["messages"]) == list(
            graphs.chat(memory).get_state(config_of(thread)).values["messages"]
        )
        saver.prune([thread])
        assert kinds(client, thread)["c"] == 1
        assert len(graphs.chat(saver).get_state(config_of(thread)).values["messages"]) == 200
        assert sum(map(len, members(client, thread))) < 3 * 200 * 400


def test_a_limit_bounds_the_thread(make_saver: SaverFactory, client: Client) -> None:
    """With keep=8 a thread of 60 turns has as many members as one of 30."""
    saver, thread, sizes = make_saver(keep=8), str(uuid.uuid4()), []
    for turn in range(60):
        graphs.steps(saver).invoke({"text": str(turn), "log": [] if turn else ["begin"]}, config_of(thread))
        sizes.append(kinds(client, thread))
    assert all(size["c"] <= 9 for size in sizes)
    assert max(size["v"] for size in sizes[30:]) <= max(size["v"] for size in sizes[:30]) + CHAIN_LENGTH
    assert max(size["w"] for size in sizes[30:]) <= max(size["w"] for size in sizes[:30])


def test_subgraph_namespaces_go_with_their_root(make_saver: SaverFactory, client: Client) -> None:
    saver, thread = make_saver(keep=2), str(uuid.uuid4())
    for turn in range(6):
        graphs.nested(saver).invoke({"text": str(turn)}, config_of(thread))
        graphs.nested(saver).invoke(Command(resume="yes"), config_of(thread))
    assert len({member.split(b"\0")[1] for member in members(client, thread) if member[:1] == b"c"}) <= 3
    everything = {member.split(b"\0")[1] for member in members(client, thread)}
    assert len(everything) <= 3, everything


def test_nothing_is_left_of_a_deleted_thread(make_saver: SaverFactory, client: Client) -> None:
    saver, thread, run = make_saver(), str(uuid.uuid4()), str(uuid.uuid4())
    graphs.steps(saver).invoke({"text": "in"}, {**config_of(thread), "metadata": {"run_id": run}})
    assert client.smembers(*client.scan_iter(f"nn:*:checkpoint-runs:{{{run}}}", count=10_000)) == {thread.encode()}
    saver.delete_thread(thread)
    assert not list(client.scan_iter(f"nn:*{{{thread}}}", count=10_000))
    assert not list(client.scan_iter(f"nn:*{{{run}}}", count=10_000))


def test_delete_for_runs_takes_values_and_writes_along(make_saver: SaverFactory, client: Client) -> None:
    saver, thread = make_saver(), str(uuid.uuid4())
    runs = [str(uuid.uuid4()) for _ in range(3)]
    before = Counter[str]()
    for n, run in enumerate(runs):
        graphs.steps(saver).invoke({"text": f"{n} " * 100}, {**config_of(thread), "metadata": {"run_id": run}})
        before = before or kinds(client, thread)
    saver.delete_for_runs(runs[1:])
    assert kinds(client, thread) == before
    assert graphs.steps(saver).get_state(config_of(thread)).values["log"] == ["one of 0", "two of 1", "three of 2"]
    assert {found.metadata["run_id"] for found in saver.list(config_of(thread))} == {runs[0]}


def test_a_copy_is_whole_and_apart(make_saver: SaverFactory) -> None:
    saver, source, target = make_saver(), str(uuid.uuid4()), str(uuid.uuid4())
    graph = graphs.questions(saver)
    graph.invoke({"text": "in"}, config_of(source))
    saver.copy_thread(source, target)
    saver.copy_thread(source, target)
    originals = list(saver.list(config_of(source)))
    copies = list(saver.list(config_of(target)))
    assert [copy[1:3] for copy in copies] == [original[1:3] for original in originals]
    assert [copy.pending_writes for copy in copies] == [original.pending_writes for original in originals]
    asked = {each.value: each.id for each in graph.get_state(config_of(target)).interrupts}
    graph.invoke(Command(resume={asked["left?"]: "L", asked["right?"]: "R"}), config_of(target))
    assert graph.invoke(Command(resume="S"), config_of(target))["text"] == "left L | right R S"
    assert len(list(saver.list(config_of(source)))) == len(originals)
    saver.copy_thread(source, source)
    assert len(list(saver.list(config_of(source)))) == len(originals)


def put_next(saver: NervenetSaver, config: Any, value: Any, version: int) -> Any:
    checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": {"ch": value}}
    checkpoint["channel_versions"] = {"ch": version}
    return saver.put(config, checkpoint, {"step": version}, {"ch": version})


def assert_no_waste(client: Client, thread: str) -> None:
    """Each chain has exactly the members that a checkpoint needs."""
    places: dict[bytes, int] = {}
    for member in members(client, thread):
        if member[:1] == b"c":
            base, _, position = member.split(b"\0")[9].partition(b"/")
            places[base] = max(places.get(base, 0), int(position))
    in_use = sorted((base, n) for base, last in places.items() for n in range(last + 1))
    stored = (member.split(b"\0") for member in members(client, thread) if member[:1] == b"v")
    assert sorted((parts[3], int(parts[4])) for parts in stored) == in_use


def test_a_copy_and_its_original_go_different_ways(make_saver: SaverFactory, client: Client) -> None:
    """Both continue the same chain, and the original is copied a second time over the changed copy."""
    saver, source, target = make_saver(), str(uuid.uuid4()), str(uuid.uuid4())
    base = [f"message {n} " * 20 for n in range(10)]
    (start,) = put_values(saver, source, [base])
    first = put_next(saver, start, [*base, "first"], 2)
    saver.copy_thread(source, target)
    latest = saver.get_tuple(config_of(target))
    assert latest is not None
    in_copy = put_next(saver, latest.config, [*base, "first", "copy"], 3)
    in_original = put_next(saver, first, [*base, "first", "original"], 3)
    for _ in range(3):
        saver.copy_thread(source, target)
    for config, words in (
        (in_copy, ["first", "copy"]),
        (in_original, ["first", "original"]),
        (config_of(target, checkpoint_id=in_original["configurable"]["checkpoint_id"]), ["first", "original"]),
        (config_of(target, checkpoint_id=first["configurable"]["checkpoint_id"]), ["first"]),
    ):
        found = make_saver().get_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"]["ch"] == [*base, *words]
    assert_no_waste(client, source)
    assert_no_waste(client, target)


def test_a_checkpoint_that_is_put_again_leaves_nothing(saver: NervenetSaver, client: Client) -> None:
    thread = str(uuid.uuid4())
    checkpoint: Any = {**empty_checkpoint(), "channel_versions": {"ch": 1}}
    for n in range(5):
        checkpoint["channel_values"] = {"ch": f"value {n} " * 20}
        saver.put(config_of(thread), checkpoint, {"step": 0}, {"ch": 1})
    assert_no_waste(client, thread)
    assert kinds(client, thread) == {"c": 1, "v": 1}
    assert saver.get_tuple(config_of(thread)).checkpoint["channel_values"] == {"ch": "value 4 " * 20}  # type: ignore[union-attr]


# ── time to live ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_use_renews_the_time_to_live(make_saver: SaverFactory, client: Client) -> None:
    saver, thread = make_saver(ttl=timedelta(minutes=10)), str(uuid.uuid4())
    graph = graphs.questions(saver)
    graph.invoke({"text": "in"}, config_of(thread))
    key = key_of(client, thread)
    uses = {
        "read": lambda: graph.get_state(config_of(thread)),
        "list": lambda: list(saver.list(config_of(thread))),
        "writes": lambda: saver.put_writes(saver.get_tuple(config_of(thread)).config, [("x", 1)], "task"),  # type: ignore[union-attr]
        "put": lambda: graph.update_state(config_of(thread), {"text": "by hand"}),
    }
    for name, use in uses.items():
        client.expire(key, 5)
        use()
        assert client.ttl(key) > 500, name
    other = str(uuid.uuid4())
    saver.copy_thread(thread, other)
    assert client.ttl(key_of(client, other)) > 500
    graphs.questions(make_saver()).update_state(config_of(thread), {"text": "by a saver without limit"})
    assert client.ttl(key) == -1


def test_a_thread_that_expires_during_a_run_does_not_lose_values(make_saver: SaverFactory, client: Client) -> None:
    """The next checkpoint has the values of channels that have not changed too: they are stored again."""
    saver, thread = make_saver(), str(uuid.uuid4())
    versions: Any = {"kept": 1, "changes": 1}
    first = {**empty_checkpoint(), "channel_values": {"kept": "k" * 100, "changes": "c" * 100}}
    first["channel_versions"] = versions
    config = saver.put(config_of(thread), first, {"step": 0}, versions)  # type: ignore[arg-type]
    client.delete(key_of(client, thread))
    second = {**first, "id": str(uuid6()), "channel_values": {"kept": "k" * 100, "changes": "d" * 100}}
    second["channel_versions"] = {"kept": 1, "changes": 2}
    saver.put(config, second, {"step": 1}, {"changes": 2})  # type: ignore[arg-type]
    found = saver.get_tuple(config_of(thread))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"kept": "k" * 100, "changes": "d" * 100}


def test_runs_are_found_after_their_index_has_expired(make_saver: SaverFactory, client: Client) -> None:
    saver, thread, run = make_saver(ttl=timedelta(minutes=10)), str(uuid.uuid4()), str(uuid.uuid4())
    graphs.steps(saver).invoke({"text": "in"}, {**config_of(thread), "metadata": {"run_id": run}})
    client.delete(*client.scan_iter(f"nn:*:checkpoint-runs:{{{run}}}", count=10_000))
    saver.delete_for_runs([run])
    assert list(saver.list(config_of(thread))) == []


def put_of_run(saver: NervenetSaver, thread: str, run: str) -> None:
    metadata: Any = {"source": "input", "step": 1, "parents": {}, "run_id": run}
    saver.put({"configurable": {"thread_id": thread, "checkpoint_ns": ""}}, empty_checkpoint(), metadata, {})


def test_a_run_is_deleted_from_a_thread_that_outlived_the_index(make_saver: SaverFactory, client: Client) -> None:
    saver, run = make_saver(ttl=timedelta(minutes=10)), str(uuid.uuid4())
    put_of_run(saver, "read", run)
    client.delete(
        *client.scan_iter(f"nn:*:checkpoint-runs:{{{run}}}", count=10_000)
    )  # it expires while the thread is read
    saver.copy_thread("read", "copy")
    saver.delete_for_runs([run])
    assert saver.get_tuple(config_of("read")) is None and saver.get_tuple(config_of("copy")) is None


def test_a_run_is_deleted_after_the_time_to_live_is_given_up(make_saver: SaverFactory, client: Client) -> None:
    short, forever = make_saver(ttl=timedelta(minutes=10)), make_saver()
    old, both, new = (str(uuid.uuid4()) for _ in range(3))
    for saver, thread, run in ((short, "1", old), (forever, "1", new), (short, "2", both), (forever, "2", both)):
        put_of_run(saver, thread, run)
    (index,) = client.scan_iter(f"nn:*:checkpoint-runs:{{{both}}}", count=10_000)
    assert client.pttl(index) == -1, "it lives as long as its thread"
    client.delete(*client.scan_iter(f"nn:*:checkpoint-runs:{{{old}}}", count=10_000))  # as if it had expired
    forever.delete_for_runs([old, both])
    left = [one.metadata["run_id"] for thread in ("1", "2") for one in forever.list(config_of(thread))]
    assert left == [new]


# ── chains of differences ────────────────────────────────────────────────────────────────────────────────────────────


def put_values(saver: NervenetSaver, thread: str, values: list[Any], ns: str = "") -> list[Any]:
    """A checkpoint for each value of one channel; their configs."""
    config, configs = config_of(thread, checkpoint_ns=ns), []
    for n, value in enumerate(values, 1):
        checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": {"ch": value}}
        checkpoint["channel_versions"] = {"ch": n}
        config = saver.put(config, checkpoint, {"step": n}, {"ch": n})
        configs.append(config)
    return configs


def grown(rng: random.Random, length: int) -> list[Any]:
    """Values that grow, shrink, change in the middle or begin again."""
    values, current = [], ["x" * 80] * 3
    for _ in range(length):
        kind = rng.choice(["grow", "grow", "grow", "grow", "cut", "change", "new", "same", "text"])
        if kind == "grow":
            current = [*current, *(str(rng.random()) * 4 for _ in range(rng.randint(1, 5)))]
        elif kind == "cut":
            current = current[: max(1, len(current) // 2)]
        elif kind == "change":
            current = [*current]
            current[rng.randrange(len(current))] = str(rng.random())
        elif kind == "new":
            current = [str(rng.random()) * rng.randint(1, 40)]
        values.append("".join(current) if kind == "text" else list(current))
    return values


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_of_values_comes_back(make_saver: SaverFactory, seed: int) -> None:
    rng = random.Random(seed)
    savers, thread = [make_saver(), make_saver()], str(uuid.uuid4())
    values = grown(rng, 60)
    configs = put_values(savers[0], thread, values)
    for config, value in zip(configs, values, strict=True):
        assert savers[1].get_tuple(config).checkpoint["channel_values"] == {"ch": value}  # type: ignore[union-attr]
    listed = [found.checkpoint["channel_values"]["ch"] for found in savers[1].list(config_of(thread))]
    assert listed == values[::-1]


@pytest.mark.parametrize("seed", range(8))
def test_removing_checkpoints_leaves_the_values_of_the_others(
    make_saver: SaverFactory, client: Client, seed: int
) -> None:
    """Some runs are deleted out of the middle of chains; then no member is left that no checkpoint needs."""
    rng, saver, thread = random.Random(seed), make_saver(), str(uuid.uuid4())
    values, runs = grown(rng, 50), [str(rng.randrange(5)) + thread for _ in range(50)]
    config, stored = config_of(thread), []
    for n, (value, run) in enumerate(zip(values, runs, strict=True), 1):
        checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": {"ch": value}}
        checkpoint["channel_versions"] = {"ch": n}
        config = saver.put(config, checkpoint, {"step": n, "run_id": run}, {"ch": n})
        saver.put_writes(config, [("ch", n)], f"task {n}")
        stored.append(config)
    doomed = {run for run in runs if rng.random() < 0.5}
    saver.delete_for_runs(sorted(doomed))
    left = [(config, value) for config, value, run in zip(stored, values, runs, strict=True) if run not in doomed]
    for config, value in left:
        assert saver.get_tuple(config).checkpoint["channel_values"] == {"ch": value}  # type: ignore[union-attr]
    assert len(list(saver.list(config_of(thread)))) == len(left)
    if not left:
        assert not list(client.scan_iter(f"nn:*:checkpoints:{{{thread}}}", count=10_000))
        return
    assert kinds(client, thread)["c"] == kinds(client, thread)["w"] == len(left)
    assert_no_waste(client, thread)


def test_a_fork_begins_a_chain_of_its_own(make_saver: SaverFactory) -> None:
    """Two processes continue from the same checkpoint: the second one cannot extend a chain that has gone on."""
    first, second, thread = make_saver(), make_saver(), str(uuid.uuid4())
    base = [f"message {n} " * 20 for n in range(10)]
    config = put_values(first, thread, [base])[0]
    assert second.get_tuple(config) is not None
    ends = []
    for saver, word in ((first, "left"), (second, "right")):
        checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": {"ch": [*base, word]}}
        checkpoint["channel_versions"] = {"ch": 2}
        ends.append(saver.put(config, checkpoint, {"step": 2}, {"ch": 2}))
    for end, word in zip(ends, ("left", "right"), strict=True):
        found = make_saver().get_tuple(end)
        assert found is not None
        assert found.checkpoint["channel_values"]["ch"] == [*base, word]


# ── DeltaChannel ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keep", [None, 1, 3])
def test_delta_channels_survive_pruning(make_saver: SaverFactory, keep: int | None) -> None:
    """LangGraph rebuilds a DeltaChannel from its ancestors: these stay, up to the next one with a value."""
    delta = pytest.importorskip("langgraph.channels.delta", reason="LangGraph 1.0 has no DeltaChannel")
    from typing import Annotated, TypedDict

    from langgraph.graph import START, StateGraph

    def add(value: list[str], writes: list[list[str]]) -> list[str]:
        return [*value, *(each for write in writes for each in write)]

    log = Annotated[list[str], delta.DeltaChannel(add, snapshot_frequency=7)]
    State = TypedDict("State", {"log": log, "n": int})  # noqa: UP013  # a class could not name a local variable

    def build(saver: Any) -> Any:
        graph = StateGraph(State).add_node("note", lambda state: {"log": [f"note {len(state['log'])}"], "n": 1})
        return graph.add_edge(START, "note").compile(checkpointer=saver)

    saver, memory = make_saver(keep=keep), InMemorySaver()
    thread = str(uuid.uuid4())
    for turn in range(25):
        for one in (memory, saver):
            build(one).invoke({"log": [f"turn {turn}"]}, config_of(thread))
        expected = build(memory).get_state(config_of(thread)).values
        if turn % 5 == 2:
            saver.prune([thread])
        assert build(saver).get_state(config_of(thread)).values == expected
    assert len(expected["log"]) == 50
    if keep is not None:
        assert len(list(saver.list(config_of(thread)))) < 30


@pytest.mark.parametrize("seed", range(4))
def test_the_history_of_channels_is_the_one_of_langgraphs_default(saver: NervenetSaver, seed: int) -> None:
    """LangGraph's own method reads one ancestor after another; ours reads 256 at once."""
    rng, thread, names = random.Random(seed), str(uuid.uuid4()), ["a", "b", "c"]
    config, versions = config_of(thread), dict.fromkeys(names, 0)
    for n in range(600 if seed == 0 else 60):
        for name in names:
            versions[name] += rng.random() < 0.5
        some = {
            name: f"{name}{n}" * rng.choice([1, 30]) for name in names if rng.random() < (0.002 if seed == 0 else 0.1)
        }
        for name in some:
            versions[name] += 1
        checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": some}
        checkpoint["channel_versions"] = {name: version for name, version in versions.items() if version}
        config = saver.put(config, checkpoint, {"step": n}, checkpoint["channel_versions"])
        for task in rng.sample(["t1", "t2", "t3"], 2):
            written = [(rng.choice(names), f"{task} {n} {m}") for m in range(rng.randint(0, 3))]
            saver.put_writes(config, written, task, f"~path {rng.randint(0, 9)}")
    for target in (config, config_of(thread)):
        expected = BaseCheckpointSaver.get_delta_channel_history(saver, config=target, channels=names)
        assert saver.get_delta_channel_history(config=target, channels=names) == expected
        assert sum(len(one["writes"]) for one in expected.values()) > 10
    assert saver.get_delta_channel_history(config=config_of("none"), channels=["a"]) == {"a": {"writes": []}}
    assert saver.get_delta_channel_history(config=config, channels=[]) == {}


def test_special_writes_are_replaced_and_others_are_not(saver: NervenetSaver) -> None:
    (config,) = put_values(saver, str(uuid.uuid4()), [1])
    saver.put_writes(config, [("ch", "first"), ("other", 1)], "task")
    saver.put_writes(config, [("ch", "second"), ("other", 2)], "task")
    saver.put_writes(config, [("__resume__", ["first"])], "task")
    saver.put_writes(config, [("__resume__", ["first", "second"])], "task")
    found = saver.get_tuple(config)
    assert found is not None
    assert sorted(found.pending_writes or [], key=str) == [
        ("task", "__resume__", ["first", "second"]),
        ("task", "ch", "first"),
        ("task", "other", 1),
    ]


def test_writes_come_in_the_order_of_their_paths(saver: NervenetSaver) -> None:
    (config,) = put_values(saver, str(uuid.uuid4()), [1])
    for path, task in (("~3", "a"), ("~1", "c"), ("~2", "b")):
        saver.put_writes(config, [("ch", f"{path} {n}") for n in range(12)], task, path)
    found = saver.get_tuple(config)
    assert found is not None
    assert [write[2] for write in found.pending_writes or []] == [f"~{p} {n}" for p in (1, 2, 3) for n in range(12)]


def test_messages_and_odd_values_come_back(saver: NervenetSaver) -> None:
    values: list[Any] = [
        None,
        0,
        "",
        b"\0\0",
        "text\0with NUL",
        {"a": {"b": [1, 2.5, None]}},
        AIMessage("hello", id="1"),
        ["x" * 100_000],
        "ä€😀" * 50,
    ]
    thread = "thread {with} braces / * [glob] ?"
    configs = put_values(saver, thread, values, ns="ns|with:odd *chars")
    for config, value in zip(configs, values, strict=True):
        assert saver.get_tuple(config).checkpoint["channel_values"] == {"ch": value}  # type: ignore[union-attr]
    assert [found.config["configurable"]["thread_id"] for found in saver.list(None)] == [thread] * len(values)
    saver.delete_thread(thread)
    assert list(saver.list(None)) == []
