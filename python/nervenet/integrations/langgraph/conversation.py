# SPDX-License-Identifier: Apache-2.0
"""A thread with many turns: one workflow that keeps the state, and one child workflow for each turn.

    chat = graph.conversation(name="chat", while_busy="interrupt")

    await chat.open(client, "chat-7")
    reply = await chat.say(client, "chat-7", {"messages": [("user", "hi")]})
    reply.output["messages"][-1].content

A turn is a workflow of its own, so its result is typed, a watcher can follow it alone (`graph.astream(client, handle)`), and the
journal of the thread has four entries for each turn. The state travels into a turn and out of it: it is limited by `payload_limit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from langchain_core.runnables import RunnableConfig

from nervenet import (
    CallFailed,
    Child,
    Client,
    Context,
    NervenetError,
    Signal,
    Workflow,
    WorkflowFailed,
    WorkflowHandle,
)
from nervenet.clock import new_id
from nervenet.errors import NotFound
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.run import Outcome
from nervenet.payloads import PayloadTooLarge

WhileBusy = Literal["enqueue", "reject", "interrupt"]
LOOK_AGAIN_FIRST, LOOK_AGAIN_LATER = 0.05, 0.5
"""Seconds between two looks whether a turn has begun."""


class TurnRejected(NervenetError):
    """Another turn of this thread runs, and the conversation rejects messages meanwhile. Send it again later."""


@dataclass(frozen=True)
class Reply:
    """What a turn came to.

    Attributes:
        output: The output of the graph, as Python objects.
        state: The whole state of the thread after it.
        interrupted: Whether a later message ended it early. The state is that of its last whole step.
    """

    output: Any
    state: Any
    interrupted: bool


@dataclass(frozen=True)
class GraphOfTurns:
    """What a conversation needs of its graph.

    Attributes:
        name: Name of the graph in the mesh.
        values: How its values travel.
        encode: `DurableGraph.encode`.
        add_workflow: Makes a function with this name, version and signals a workflow.
        run: Runs one turn, from what `encode` made and the state before it; calls the last argument with each state.
    """

    name: str
    values: Values
    encode: Callable[..., dict[str, Any]]
    add_workflow: Callable[[Any, str, int, Collection[Signal[Any]]], Workflow[Any, Any]]
    run: Callable[[Context, Mapping[str, Any], Any, Callable[[Any], None]], Coroutine[Any, Any, Outcome]]


class Conversation:
    """A thread of a durable graph. Made by `DurableGraph.conversation`.

    What happens to a message while a turn runs:

    - `enqueue`: it waits for its turn.
    - `reject`: it fails with TurnRejected.
    - `interrupt`: the running turn is stopped after its last whole step; its state stays, and the message comes next. A tool
      call that was asked for and not answered stays in the messages, as in LangGraph.

    A turn that fails leaves the state as it was before.

    Attributes:
        workflow: The workflow of a thread. It runs until it is cancelled.
        turn: The workflow of a turn.
    """

    def __init__(self, graph: GraphOfTurns, name: str, while_busy: WhileBusy, version: int, turns_per_run: int) -> None:
        if while_busy not in ("enqueue", "reject", "interrupt"):
            raise ValueError(f'while_busy is {while_busy!r}, but must be "enqueue", "reject" or "interrupt"')
        if turns_per_run < 1:
            raise ValueError(f"turns_per_run is {turns_per_run}, but must be at least 1")
        self._graph, self._while_busy, self._turns = graph, while_busy, turns_per_run
        self._say: Signal[Any] = Signal("say", Any)
        self._stop: Signal[Any] = Signal("stop", Any)

        async def thread(ctx: Context, given: Any) -> Any:
            """Take one message after the other."""
            await self._thread(ctx, given)

        async def turn(ctx: Context, given: Any) -> Any:
            """Run the graph for one message."""
            return await self._turn(ctx, given)

        self.turn: Workflow[Any, Any] = graph.add_workflow(turn, f"{name}-turn", version, [self._stop])
        self.workflow: Workflow[Any, Any] = graph.add_workflow(thread, name, version, [self._say])

    # ── outside ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, client: Client, id: str, /, *, state: Any = None) -> WorkflowHandle[Any]:
        """Begin a thread, or find it again.

        Args:
            client: A client of the mesh.
            id: Id of the thread: a workflow id.
            state: The state to begin with, as Python objects.
        """
        given = None if state is None else {"state": self._graph.values.encode(state)}
        return await client.start(self.workflow, given, id=id)

    async def send(
        self,
        client: Client,
        id: str,
        input: Any,
        /,
        *,
        turn: str | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
    ) -> WorkflowHandle[Any]:
        """Send a message and return the handle of its turn, for `graph.astream` and `reply`.

        Args:
            client: A client of the mesh.
            id: Id of the thread.
            input: The graph's input.
            turn: Id of the turn within the thread. The same id again is the same turn. Default: a new one.
            config: As for `DurableGraph.ainvoke`.
            context: The graph's runtime context.
        """
        turn = turn or new_id("turn")
        message = {**self._graph.encode(input, config=config, context=context), "turn": turn}
        await client.handle(id).signal(self._say, message)
        return client.handle(f"{id}/{turn}", self.turn)

    async def reply(self, handle: WorkflowHandle[Any], /) -> Reply:
        """Wait until a turn has begun and ended.

        Args:
            handle: The handle of the turn, from `send`.

        Raises:
            TurnRejected: Another turn was running.
            WorkflowFailed: The turn failed.
        """
        pause = LOOK_AGAIN_FIRST
        while True:
            try:
                return self._reply(await handle.result())
            except NotFound:  # it has not begun
                await asyncio.sleep(pause)
                pause = min(2 * pause, LOOK_AGAIN_LATER)
            except WorkflowFailed as failed:
                if failed.failure.type == TurnRejected.__name__:
                    raise TurnRejected(failed.failure.message) from None
                raise

    def _reply(self, found: Mapping[str, Any]) -> Reply:
        decode = self._graph.values.decode
        return Reply(decode(found["output"]), decode(found["state"]), found["interrupted"])

    async def say(
        self,
        client: Client,
        id: str,
        input: Any,
        /,
        *,
        turn: str | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
    ) -> Reply:
        """Send a message and wait for the reply: `send`, then `reply`.

        Args:
            client: A client of the mesh.
            id: Id of the thread.
            input: The graph's input.
            turn: As for `send`.
            config: As for `DurableGraph.ainvoke`.
            context: The graph's runtime context.
        """
        return await self.reply(await self.send(client, id, input, turn=turn, config=config, context=context))

    # ── the workflows ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _thread(self, ctx: Context, given: Any) -> NoReturn:
        state = given.get("state") if isinstance(given, dict) else None
        message: Any = None
        turns = 0
        while turns < self._turns or message is not None:
            turns += 1
            message = await ctx.receive(self._say) if message is None else message
            state, message = await self._take(ctx, message, state)
            self._show(ctx, state)
        ctx.continue_as_new(self.workflow, {"state": state})

    async def _take(self, ctx: Context, message: Any, state: Any) -> tuple[Any, Any]:
        """Run one turn: the state after it, and a message that came meanwhile and is next."""
        try:
            child = await ctx.start(self.turn, {**message, "state": state}, id=f"{ctx.workflow_id}/{message['turn']}")
        except CallFailed as failed:  # a turn with this id has been
            ctx.log.info("turn %s was not started: %s", message["turn"], failed)
            return state, None
        result = asyncio.create_task(child.result())
        following = (
            None if self._while_busy == "enqueue" else await self._meanwhile(ctx, child, result, message["turn"])
        )
        try:
            return (await result)["state"], following
        except CallFailed as failed:
            ctx.log.warning("turn %s failed: %s", message["turn"], failed)
            return state, following

    async def _meanwhile(self, ctx: Context, child: Child[Any], result: asyncio.Task[Any], turn: str) -> Any:
        """Until the turn has ended: reject messages, or stop it for one and return that."""
        while True:
            coming = asyncio.create_task(ctx.receive(self._say))
            await asyncio.wait([result, coming], return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return None
            message = coming.result()
            if result.done():
                return message
            if self._while_busy == "interrupt":
                await self._interrupt(ctx, child)
                return message
            await self._reject(ctx, message, turn)

    async def _interrupt(self, ctx: Context, child: Child[Any]) -> None:
        try:
            await child.signal(self._stop, None)
        except CallFailed as failed:  # it ended meanwhile
            ctx.log.info("turn %s needs no stop: %s", child.id, failed)

    async def _reject(self, ctx: Context, message: Any, turn: str) -> None:
        rejected = {"rejected": f"turn {turn} of {ctx.workflow_id} runs: send the message again when it has ended"}
        try:
            await ctx.start(self.turn, rejected, id=f"{ctx.workflow_id}/{message['turn']}")
        except CallFailed as failed:
            ctx.log.info("turn %s could not be rejected: %s", message["turn"], failed)

    async def _turn(self, ctx: Context, given: Mapping[str, Any]) -> Any:
        if "rejected" in given:
            raise TurnRejected(given["rejected"])
        values = self._graph.values
        reached = state = None if given["state"] is None else values.decode(given["state"])

        def seen(now: Any) -> None:
            nonlocal reached
            reached = now

        running = asyncio.create_task(self._graph.run(ctx, given, state, seen))
        stopping = asyncio.create_task(ctx.receive(self._stop))
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            stopping.cancel()
            outcome = running.result()
            return {
                "output": values.encode(outcome.output),
                "state": values.encode(outcome.state),
                "interrupted": False,
            }
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        encoded = values.encode(reached)
        return {"output": encoded, "state": encoded, "interrupted": True}

    def _show(self, ctx: Context, state: Any) -> None:
        try:
            ctx.publish({"graph": self._graph.name, "values": state})
        except PayloadTooLarge:
            ctx.publish({"graph": self._graph.name, "values": None, "note": "the state is above 64 KiB"})
