# SPDX-License-Identifier: Apache-2.0
"""Threads with many turns, one for each policy for a message that comes while a turn runs."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.messages import AIMessage
from langgraph.channels import UntrackedValue
from langgraph.graph import START, MessagesState, StateGraph

from nervenet import Mesh
from nervenet.integrations.langgraph import durable_graph
from nervenet.integrations.langgraph.conversation import Conversation

mesh = Mesh("chats")


def product(left: int, right: int) -> int:
    return left * right


class Chat(MessagesState):
    turns: Annotated[int, operator.add]
    factor: Annotated[int, product]
    scratch: Annotated[str, UntrackedValue]


class ChatInput(MessagesState):
    factor: Annotated[int, product]


def listen(state: Chat) -> Any:
    return {"turns": 1, "scratch": "of this turn"}


def answer(state: Chat) -> Any:
    said = [message.content for message in state["messages"]]
    if "fail" in said[-1]:
        raise ValueError("this turn fails")
    return {"messages": [AIMessage(f"{state['turns']}: {len(said)} messages, factor {state.get('factor')}")]}


_builder = StateGraph(Chat, input_schema=ChatInput)
_builder.add_node("listen", listen)
_builder.add_node("answer", answer)
_builder.add_edge(START, "listen")
_builder.add_edge("listen", "answer")
graph = durable_graph(mesh, _builder.compile(), name="chat")
CHATS: dict[str, Conversation] = {
    "enqueue": graph.conversation(name="enqueue", turns_per_run=2),
    "reject": graph.conversation(name="reject", while_busy="reject"),
    "interrupt": graph.conversation(name="interrupt", while_busy="interrupt"),
}
