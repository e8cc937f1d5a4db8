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
import re
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
    StartOptions,
    Workflow,
    WorkflowFailed,
    WorkflowHandle,
)
from nervenet.clock import new_id
from nervenet.errors import AlreadyExists, NotFound
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.run import Outcome
from nervenet.payloads import ANY, PayloadTooLarge

WhileBusy = Literal["enqueue", "reject", "interrupt"]
_TURN_ID = re.compile(r"[A-Za-z0-9._:@-]{1,100}")
LOOK_AGAIN_FIRST, LOOK_AGAIN_LATER = 0.05, 0.5
"""Seconds between two looks whether a turn has begun."""


class TurnRejected(NervenetError):
    """Another turn of this thread runs, and the conversation rejects messages meanwhile. Send it again later."""


class TurnNotStarted(NervenetError):
    """A turn could not begin. The message says why. The thread continues with its state as it was."""


class ThreadEnded(NervenetError):
    """The thread has ended, or there is none of this id, so that the turn never begins. Open a thread, and send it again."""


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
        output: The output of the graph that belongs to a state.
    """

    name: str
    values: Values
    encode: Callable[..., dict[str, Any]]
    add_workflow: Callable[[Any, str, int, Collection[Signal[Any]]], Workflow[Any, Any]]
    run: Callable[[Context, Mapping[str, Any], Any, Callable[[Any], None]], Coroutine[Any, Any, Outcome]]
    output: Callable[[Any], Any]


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

        Raises:
            ValueError: The id of the turn cannot be part of a workflow id, or has a slash.
            AlreadyClosed: The thread has ended.
            NotFound: There is no such thread.
        """
        turn = turn or new_id("turn")
        if not _TURN_ID.fullmatch(turn):
            raise ValueError(f"turn={turn!r}: an id of a turn has letters, digits and . _ : @ -, at most 100")
        message = {**self._graph.encode(input, config=config, context=context), "turn": turn}
        await client.handle(id).signal(self._say, message)
        return client.handle(f"{id}/{turn}", self.turn)

    async def reply(self, handle: WorkflowHandle[Any], /) -> Reply:
        """Wait until a turn has begun and ended.

        Args:
            handle: The handle of the turn, from `send`.

        Raises:
            TurnRejected: Another turn was running.
            ThreadEnded: The thread ended before the turn began.
            WorkflowBlocked: The turn is BLOCKED: its code needs a correction. The error has the line.
            WorkflowFailed: The turn failed. `failure.type` is "TurnNotStarted" if it could not begin.
        """
        pause, ended = LOOK_AGAIN_FIRST, ""
        while True:
            try:
                return self._reply(await handle.result())
            except NotFound:  # it has not begun
                if ended:
                    raise ThreadEnded(ended) from None
                if ended := await _end_of_thread(handle):
                    continue  # look once more: the turn may have begun before the thread ended
                await asyncio.sleep(pause)
                pause = min(2 * pause, LOOK_AGAIN_LATER)
            except WorkflowFailed as failed:
                if failed.failure.type == TurnRejected.__name__:
                    raise TurnRejected(failed.failure.message) from None
                raise

    def _reply(self, found: Mapping[str, Any]) -> Reply:
        state = self._graph.values.decode(found["state"])
        return Reply(self._graph.output(state), state, found["interrupted"])

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
        given = given if isinstance(given, dict) else {}
        run = _ThreadRun(given.get("state"), given.get("message"), list(given.get("taken", ())))
        while run.messages < self._turns:
            message, run.message = run.message or await self._next(ctx, run), None
            run.taken.append(message["turn"])
            await self._take(ctx, run, message)
            self._show(ctx, run.state)
        following = {"state": run.state, "taken": run.taken[-self._turns :]}
        if run.message is not None:
            try:
                ctx.continue_as_new(self.workflow, {**following, "message": run.message})
            except PayloadTooLarge as error:
                await self._fail(ctx, f"{ctx.workflow_id}/{run.message['turn']}", {"failed": str(error)})
        try:
            ctx.continue_as_new(self.workflow, following)
        except PayloadTooLarge:
            ctx.continue_as_new(self.workflow, {"state": run.state})

    async def _next(self, ctx: Context, run: _ThreadRun) -> dict[str, Any]:
        """The next message. Dropped are what `send` has not made, and the message of a turn that has been taken."""
        while True:
            message: Any = await ctx.receive(self._say)
            run.messages += 1
            turn = message.get("turn") if isinstance(message, dict) and "input" in message else None
            if not isinstance(turn, str) or not _TURN_ID.fullmatch(turn):
                ctx.log.warning("a signal %r that Conversation.send has not made is dropped", self._say.name)
            elif turn not in run.taken:
                return dict(message)

    async def _start(self, ctx: Context, turn: str, given: Mapping[str, Any]) -> Child[Any] | None:
        """Start a turn. None: it cannot be started; its `reply` then says why, unless a turn with this id has been."""
        turn_id, why = f"{ctx.workflow_id}/{turn}", ""
        try:
            return await ctx.start(self.turn, given, id=turn_id)
        except PayloadTooLarge as error:
            why = f"state and message together: {error}"
        except CallFailed as failed:
            why = "" if failed.is_a(AlreadyExists) else str(failed)
        ctx.log.warning("turn %s was not started: %s", turn, why or "its id is taken")
        if why:
            await self._fail(ctx, turn_id, {"failed": why})
        return None

    async def _fail(self, ctx: Context, turn_id: str, given: Mapping[str, Any]) -> None:
        """Start a turn that does nothing but fail. It outlives this run, which may continue as new at once."""
        try:
            await ctx.start(self.turn, given, id=turn_id, options=StartOptions(abandon_children=True))
        except CallFailed as failed:
            ctx.log.warning("turn %s could not be reported: %s", turn_id, failed)

    async def _take(self, ctx: Context, run: _ThreadRun, message: Mapping[str, Any]) -> None:
        """Run one turn. A message that comes meanwhile and is next is left in `run`."""
        child = await self._start(ctx, message["turn"], {**message, "state": run.state})
        if child is None:
            return
        result = asyncio.create_task(child.result())
        if self._while_busy != "enqueue":
            await self._meanwhile(ctx, run, child, result, message["turn"])
        try:
            run.state = (await result)["state"]
        except CallFailed as failed:
            ctx.log.warning("turn %s failed: %s", message["turn"], failed)

    async def _meanwhile(
        self, ctx: Context, run: _ThreadRun, child: Child[Any], result: asyncio.Task[Any], turn: str
    ) -> None:
        """Until the turn has ended: reject messages, or stop it for one."""
        while True:
            coming = asyncio.create_task(self._next(ctx, run))
            await asyncio.wait([result, coming], return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return
            message = coming.result()
            if result.done() or self._while_busy == "interrupt":
                run.message = message
                if not result.done():
                    await self._interrupt(ctx, child)
                return
            run.taken.append(message["turn"])
            why = f"turn {turn} of {ctx.workflow_id} runs: send the message again when it has ended"
            await self._fail(ctx, f"{ctx.workflow_id}/{message['turn']}", {"rejected": why})

    async def _interrupt(self, ctx: Context, child: Child[Any]) -> None:
        try:
            await child.signal(self._stop, None)
        except CallFailed as failed:  # it ended meanwhile
            ctx.log.info("turn %s needs no stop: %s", child.id, failed)

    async def _turn(self, ctx: Context, given: Mapping[str, Any]) -> Any:
        if "rejected" in given:
            raise TurnRejected(given["rejected"])
        if "failed" in given:
            raise TurnNotStarted(given["failed"])
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
            return {"state": values.encode(running.result().state), "interrupted": False}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return {"state": values.encode(reached), "interrupted": True}

    def _show(self, ctx: Context, state: Any) -> None:
        try:
            ctx.publish({"graph": self._graph.name, "values": state})
        except PayloadTooLarge:
            ctx.publish({"graph": self._graph.name, "values": None, "note": "the state is above 64 KiB"})


@dataclass
class _ThreadRun:
    """One run of a thread, between two times that it continues as new.

    Attributes:
        state: The state after the last turn, encoded.
        message: A message that has come and is next.
        taken: Turns of which a message has come, in this run and the one before.
        messages: How many signals have come in this run.
    """

    state: Any
    message: dict[str, Any] | None
    taken: list[str]
    messages: int = 0


async def _end_of_thread(turn: WorkflowHandle[Any]) -> str:
    """Why a turn never begins. "": its thread runs."""
    thread_id, _, name = turn.id.rpartition("/")
    thread = WorkflowHandle(thread_id, False, ANY, turn._nodes, turn._awaiter)  # noqa: SLF001  # a handle has no public way to another one
    try:
        info = await thread.info()
    except NotFound:
        return f"turn {name} does not begin: there is no thread {thread_id}"
    return f"turn {name} does not begin: thread {thread_id} has ended ({info.state})" if info.closed is not None else ""
