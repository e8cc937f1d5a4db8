# SPDX-License-Identifier: Apache-2.0
"""What people write with NervenetSaver. mypy and pyright check it, both strict; a line with `# error` must be one.

LangGraph's own methods are not complete for a strict pyright: these lines have an exception.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

from nervenet.integrations.langgraph import CheckpointsUnavailable, NervenetSaver


class State(TypedDict):
    text: str


def shout(state: State) -> State:
    return {"text": state["text"].upper()}


def blocking(url: str, config: RunnableConfig) -> CheckpointTuple | None:
    with NervenetSaver.from_url(url, ttl=timedelta(days=30), keep=20, serde=JsonPlusSerializer()) as saver:
        builder = StateGraph(State)
        builder.add_node("shout", shout)  # pyright: ignore[reportUnknownMemberType]
        builder.add_edge(START, "shout")
        graph = builder.compile(checkpointer=saver)  # pyright: ignore[reportUnknownMemberType]
        graph.invoke({"text": "hello"}, config)  # pyright: ignore[reportUnknownMemberType]
        every: list[CheckpointTuple] = list(saver.list(config, filter={"source": "loop"}, limit=3))
        saver.prune(["1"], strategy="keep_latest")
        saver.copy_thread("1", "2")
        saver.delete_for_runs(["run"])
        saver.delete_thread("2")
        return every[0] if every else saver.get_tuple(config)


async def with_a_loop(url: str, config: RunnableConfig) -> CheckpointTuple | None:
    async with NervenetSaver(url, namespace="chats", patience=timedelta(seconds=5)) as saver:
        base: BaseCheckpointSaver[int] = saver
        async for found in saver.alist(config):
            return found
        try:
            return await base.aget_tuple(config)
        except CheckpointsUnavailable:
            return None


def wrong(url: str) -> None:
    NervenetSaver(url, ttl=60)  # error
    NervenetSaver.from_url(url, keep="20")  # error
    NervenetSaver(url).prune("1", strategy=None)  # error
