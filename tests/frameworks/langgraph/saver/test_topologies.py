# SPDX-License-Identifier: Apache-2.0
"""The same saver on a Redis Cluster and behind sentinels, also while a master fails and while slots move."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from langgraph.types import Command

from nervenet.integrations.langgraph import NervenetSaver
from nervenet.redis_link.slots import slot_of
from tests.frameworks.langgraph.saver import graphs
from tests.frameworks.langgraph.saver.test_conformance import ALL, results
from tests.support.redis_cluster import Clustered
from tests.support.redis_servers import Replicated


def config_of(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


async def talk(saver: NervenetSaver, thread: str, turns: int) -> int:
    """Turns of a chat, one after another; how many messages the thread then has."""
    for turn in range(turns):
        await graphs.chat(saver).ainvoke({"messages": [("user", f"question {turn}")]}, config_of(thread))
    return len((await graphs.chat(saver).aget_state(config_of(thread))).values["messages"])


async def test_cluster() -> None:
    async with Clustered() as servers:
        passed, known, report = await results(servers.url)
        assert passed == known == ALL, report
        namespace, threads = f"t{uuid.uuid4().hex[:8]}", [str(n) for n in range(24)]
        async with NervenetSaver.from_url(servers.url, namespace=namespace, keep=20) as saver:
            assert set(await asyncio.gather(*(talk(saver, thread, 3) for thread in threads))) == {6}
            slots = {slot_of(f"nn:{namespace}:checkpoints:{{{thread}}}".encode()) * 3 // 16_384 for thread in threads}
            assert slots == {0, 1, 2}  # threads on each of the masters
            assert {one.config["configurable"]["thread_id"] async for one in saver.alist(None)} == set(threads)

            for source, target in zip(threads[:6], threads[6:12], strict=True):  # from one master to another
                await saver.adelete_thread(target)
                await saver.acopy_thread(source, target)
                copied = [one.checkpoint async for one in saver.alist(config_of(target))]
                assert copied == [one.checkpoint async for one in saver.alist(config_of(source))]

            run = str(uuid.uuid4())
            for thread in threads:
                await graphs.steps(saver).ainvoke(
                    {"text": "in"}, {**config_of(f"r{thread}"), "metadata": {"run_id": run}}
                )
            await saver.adelete_for_runs([run])
            assert {one.config["configurable"]["thread_id"] async for one in saver.alist(None)} == set(threads)
            await saver.aprune(threads)
            assert len([one async for one in saver.alist(None)]) == len(threads)


async def test_cluster_while_a_slot_moves_and_a_master_dies() -> None:
    async with Clustered(replica=True) as servers, NervenetSaver.from_url(servers.url, namespace="moving") as saver:
        threads = [str(n) for n in range(6)]
        talking = [asyncio.create_task(talk(saver, thread, 20)) for thread in threads]
        await servers.give_away(slot_of(f"nn:moving:checkpoints:{{{thread}}}".encode()) for thread in threads[:3])
        assert await asyncio.gather(*talking) == [40] * len(threads)
        talking = [asyncio.create_task(talk(saver, f"again {thread}", 20)) for thread in threads]
        await servers.failover()
        assert await asyncio.gather(*talking) == [40] * len(threads)


async def test_sentinel_failover_between_question_and_answer() -> None:
    async with Replicated() as servers, NervenetSaver.from_url(servers.url) as saver:
        passed, known, report = await results(servers.url)
        assert passed == known == ALL, report
        graph, config = graphs.questions(saver), config_of("1")
        asked = await graph.ainvoke({"text": "in"}, config)
        answers = {each.id: each.value for each in asked["__interrupt__"]}
        await asyncio.sleep(0.5)  # the replica has it
        await servers.failover()
        await graph.ainvoke(Command(resume=answers), config)
        assert (await graph.ainvoke(Command(resume="yes"), config))["text"] == "left left? | right right? yes"
