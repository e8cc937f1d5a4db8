# SPDX-License-Identifier: Apache-2.0
"""The world in which a test's workflow runs: agents, humans, timers and one clock that jumps to what comes next.

It does what a node does (commands in, entries out) with nothing behind it, so a week passes in microseconds and the
same test gives the same journal every time.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nervenet.clock import SYSTEM
from nervenet.definitions import Agent, Signal, Workflow
from nervenet.durable import (
    CancelChild,
    CloseRun,
    Command,
    ContinueRun,
    Dispatch,
    EscalateStep,
    Expire,
    FailStep,
    Machine,
    RecordPatch,
    SendSignal,
    StartChild,
    StartTimer,
    StopTimer,
    Withdraw,
    failure_of,
)
from nervenet.durable.check import blocked_text, blocking_error, replay_check, worth_checking
from nervenet.errors import Escalate as AskHuman
from nervenet.node.guards.watchdog import Watchdog
from nervenet.payloads import ANY, Codec
from nervenet.records import (
    NOTHING,
    Action,
    Attempt,
    Body,
    Cancel,
    ChildStarted,
    Decided,
    Entry,
    Escalated,
    Failure,
    FailureCode,
    Outcome,
    Patched,
    Payload,
    Question,
    Signaled,
    SignalSent,
    Start,
    TimerFired,
)

if TYPE_CHECKING:
    from nervenet.node.guards.replay_process import ReplayProcess

BEGIN_MS = 1_704_067_200_000  # Monday 2024-01-01 00:00 UTC: a date that a reader recognises


@dataclass(frozen=True)
class Stub:
    """What answers instead of an agent or child: `answer` is asked once for each attempt and takes `takes_ms`."""

    agent: Agent[Any, Any] | Workflow[Any, Any]
    answer: Callable[[Any], Any]
    takes_ms: int


@dataclass(frozen=True)
class ScriptedAnswer:
    """What a human answers to a question, and how long they take."""

    value: object
    after_ms: int


class Simulation:
    """One run of one workflow. `run()` returns when it is closed; AssertionError says why that can't be."""

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        seed: int,
        stubs: dict[str, Stub],
        answers: dict[str, list[ScriptedAnswer]],
        *,
        crash_everywhere: bool,
        elsewhere: ReplayProcess | None = None,
    ) -> None:
        self.workflow = workflow
        self.machine = Machine(workflow, f"{workflow.name}-test-{seed}")
        self.entries: list[Entry] = []
        self.calls: dict[str, list[Any]] = {}
        self.now_ms = BEGIN_MS
        self._seed = hashlib.blake2b(str(seed).encode(), digest_size=16).digest()
        self._stubs = stubs
        self._answers = {question: list(said) for question, said in answers.items()}
        self._crash_everywhere = crash_everywhere
        self._elsewhere = elsewhere
        self._names: set[str] = set()
        self._timers: set[int] = set()
        self._agenda: list[tuple[int, int, int, Callable[[], object]]] = []
        self._asked = 0

    # ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────────

    def at(self, time_ms: int, action: Callable[[], object], *, outside: bool = False) -> None:
        """Something will happen; of two at the same time the one asked for first comes first.

        What belongs to a run ends with it; what comes from outside does not.
        """
        self._asked += 1
        heapq.heappush(self._agenda, (time_ms, self._asked, 0 if outside else self.machine.run, action))

    def run(self, given: Payload) -> None:
        with Watchdog(SYSTEM) as self._watchdog:
            self._run(given)

    def _run(self, given: Payload) -> None:
        start = Start(self.workflow.name, self.workflow.version, self.workflow.runtime, given, self._seed)
        self.append("start", start)
        while not self.machine.state.closed:
            if not self._agenda:
                raise AssertionError(self._stuck())
            time_ms, _, run, action = heapq.heappop(self._agenda)
            if run in (0, self.machine.run):
                self.now_ms = max(self.now_ms, time_ms)
                action()

    def _stuck(self) -> str:
        waits = self.machine.waits()
        return (
            f"{self.workflow.name} waits for {waits}, and this test scripts nothing that provides it: "
            "t.after(…).signal(…), t.answer(…, …)"
        )

    # ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, name: str, body: Body) -> bool:
        """Write an entry once, tell the machine, do what it wants."""
        if name in self._names or self.machine.state.closed:
            return False
        self._names.add(name)
        entry = Entry(name, body, len(self.entries) + 1, self.now_ms)
        self.entries.append(entry)
        self._watchdog.enter(self.machine)
        commands = self.machine.apply(entry)
        self._watchdog.leave()
        if self.machine.blocked is not None:
            raise blocking_error(self.machine, entry)
        self._crash(entry)
        for command in commands:
            self._do(command)
        return True

    def _crash(self, entry: Entry) -> None:
        n = entry.n
        if not (self._crash_everywhere and worth_checking(n)):
            return
        rebuilt, difference = replay_check(self.machine, self.entries)
        if difference is None and self._elsewhere is not None:
            difference = self._elsewhere.check(self.machine, self.entries)
        if difference is not None:
            raise AssertionError(blocked_text(self.machine, difference, entry))
        self.machine.close()
        self.machine = rebuilt

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, command: Command) -> None:
        match command:
            case Dispatch():
                self._dispatch(command)
            case Withdraw(step=step, attempt=attempt):
                gone = Failure(FailureCode.CANCELED, "withdrawn by the workflow", source=step)
                self._later(f"task:{step}", Outcome(None, gone, attempt=attempt))
            case StartTimer(number=number, due_ms=due_ms):
                self._timers.add(number)
                self.at(due_ms, lambda: self._fire(number, due_ms))
            case StopTimer(number=number):
                self._timers.discard(number)
            case FailStep(step=step, outcome=outcome):
                self._later(f"task:{step}", outcome)
            case EscalateStep(step=step, question_number=number, question=question):
                self.at(self.now_ms, lambda: self._escalate(step, number, question))
            case Expire():
                self.at(
                    command.at_ms,
                    lambda: self._decide(command.step, command.question_number, command.decided, command.outcome),
                )
            case StartChild() | CancelChild() | SendSignal():
                self._deal_with_others(command)
            case RecordPatch(change=change):
                self.append(f"patch:{change}", Patched(True))  # at once: it stands first, what follows waits for it
            case ContinueRun():
                self.at(self.now_ms, lambda: self._continue(command))
            case CloseRun(close=close):
                self._later("close", close)

    def _continue(self, command: ContinueRun) -> None:
        """The next run: a fresh journal, with what nobody has read."""
        ended = next(n for n, entry in enumerate(self.entries, 1) if command.folded == f"{entry.time_ms}-{entry.n}")
        late = [entry for entry in self.entries[ended:] if isinstance(entry.body, (Signaled, Cancel))]
        unread = [entry for entry in self.entries if f"{entry.time_ms}-{entry.n}" in command.unread]
        start = self.entries[0].body
        assert isinstance(start, Start)
        if command.definition != self.workflow.name:
            raise AssertionError(f"this test ends where {self.workflow.name} continues as {command.definition}")
        self.machine.close()
        self.machine = Machine(self.workflow, self.machine.workflow_id, self.machine.run + 1)
        self.entries, self._names, self._timers = [], set(), set()
        self.append("start", replace(start, input=command.input, seed=hashlib.blake2b(start.seed).digest()[:16]))
        for entry in (*unread, *late):
            self.append(entry.name, entry.body)

    def _deal_with_others(self, command: StartChild | CancelChild | SendSignal) -> None:
        match command:
            case StartChild():
                self._start_child(command)
            case CancelChild(step=step, workflow_id=workflow_id):
                gone = Failure(FailureCode.CANCELED, "canceled by its parent", source=workflow_id)
                self._later(f"task:{step}", Outcome(None, gone))
            case SendSignal():
                self._later(f"sent:{command.step}", SignalSent(command.workflow_id, command.signal))

    def _later(self, name: str, body: Body) -> None:
        self.at(self.now_ms, lambda: self.append(name, body))

    def _fire(self, number: int, due_ms: int) -> None:
        if number in self._timers:
            self._timers.discard(number)
            self.append(f"timer:{number}", TimerFired(due_ms))

    # ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stub_of(self, what: str, name: str, where: object) -> Stub:
        stub = self._stubs.get(name)
        if stub is None:
            raise AssertionError(f"no stub for {what} {name!r}, called at {where}: t.stub({name}, …)")
        return stub

    def _start_child(self, child: StartChild) -> None:
        """A child is answered for as a whole, once; what happens inside it is a test of its own."""
        stub = self._stub_of("workflow", child.definition, self.machine.children[child.step].site)
        self.calls.setdefault(child.definition, []).append(_decoded(stub.agent.input, child.input))
        self._later(f"child:{child.step}", ChildStarted(child.workflow_id, child.definition))
        self.at(self.now_ms + stub.takes_ms, lambda: self._end_child(child, stub))

    def _end_child(self, child: StartChild, stub: Stub) -> None:
        if child.step not in self.machine.children:
            return
        body = self._ask_stub(child.step, 1, child.input, stub)
        if isinstance(body, Attempt):
            body = Outcome(None, body.failure)
        self.append(f"task:{child.step}", replace(body, capability=child.definition))

    def _dispatch(self, task: Dispatch) -> None:
        stub = self._stub_of("agent", task.capability, self.machine.pending[task.step].site)
        if task.attempt == 1:
            self.calls.setdefault(task.capability, []).append(_decoded(stub.agent.input, task.input))
        self.at(max(self.now_ms, task.at_ms), lambda: self._attempt(task, stub))

    def _attempt(self, task: Dispatch, stub: Stub) -> None:
        pending = self.machine.pending.get(task.step)
        if pending is None or pending.attempt != task.attempt:
            return
        begun = self.now_ms
        dues = [begun + stub.takes_ms]
        if task.options.attempt_ms is not None:
            dues.append(begun + task.options.attempt_ms)
        if task.total_due_ms is not None:
            dues.append(task.total_due_ms)
        if (due := min(dues)) < begun + stub.takes_ms:
            late = Failure(FailureCode.TIMEOUT, f"attempt took longer than {due - begun} ms", "TimeoutError")
            body: Outcome | Attempt = Attempt(late)
        else:
            body = self._ask_stub(task.step, task.attempt, task.input, stub)
        name = f"task:{task.step}" if isinstance(body, Outcome) else f"attempt:{task.step}#{task.attempt}"
        self.at(due, lambda: self._report(task, name, body, begun))

    def _ask_stub(self, step: str, attempt: int, given: Payload, stub: Stub) -> Outcome | Attempt:
        agent = stub.agent
        try:
            value = stub.answer(_decoded(agent.input, given))
            if inspect.isawaitable(value):
                value = _awaited(value)
            return Outcome(agent.output.encode(value), None, attempt=attempt)
        except AssertionError:
            raise  # the test's own
        except AskHuman as asks:
            return Attempt(None, self._question(agent, asks))
        except Exception as error:  # noqa: BLE001  # as an agent does: whatever a handler raises is its failure
            return Attempt(replace(failure_of(error, source=step), attempt=attempt))

    def _question(self, agent: Agent[Any, Any] | Workflow[Any, Any], asks: AskHuman) -> Question:
        deadline = None if asks.deadline is None else self.now_ms + asks.deadline // timedelta(milliseconds=1)
        return Question(
            asks.question,
            "agent",
            choices=asks.choices,
            context=NOTHING if asks.context is None else ANY.encode(asks.context),
            suggestion=NOTHING if asks.suggestion is None else agent.output.encode(asks.suggestion),
            schema=agent.output.schema(),
            deadline_ms=deadline,
        )

    def _report(self, task: Dispatch, name: str, body: Outcome | Attempt, begun: int) -> None:
        pending = self.machine.pending.get(task.step)
        if pending is None or pending.attempt != task.attempt:
            return
        filled: Any = body
        agent_id = f"{task.capability}-stub"
        filled = replace(filled, capability=task.capability, digest=task.digest, agent_id=agent_id)
        self.append(name, replace(filled, started_ms=begun, ended_ms=self.now_ms))

    # ── humans ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _escalate(self, step: str, number: int, question: Question) -> None:
        call = self.machine.pending.get(step)
        if call is None or not self.append(f"escalated:{step}#{number}", Escalated(question)):
            return
        said = self._answers.get(question.text)
        if not said:
            return
        reply = said.pop(0)
        codec: Codec[Any] = call.output
        if isinstance(reply.value, BaseException):
            decided, outcome = Decided(Action.FAIL, resolver="test"), Outcome(None, failure_of(reply.value))
        else:
            value = codec.encode(reply.value)
            decided, outcome = Decided(Action.COMPLETE, value, resolver="test"), Outcome(value, None)
        self.at(self.now_ms + reply.after_ms, lambda: self._decide(step, number, decided, outcome))

    def _decide(self, step: str, number: int, decided: Decided, outcome: Outcome) -> None:
        if step in self.machine.pending and self.append(f"decided:{step}#{number}", decided):
            self.append(f"task:{step}", outcome)

    # ── what the script does ─────────────────────────────────────────────────────────────────────────────────────────

    def signal(self, signal: Signal[Any], value: object, number: int) -> None:
        body = Signaled(signal.name, signal.input.encode(value), "test")
        self.append(f"signal:test-{number}", body)

    def cancel(self) -> None:
        self.append("cancel", Cancel("canceled by the test", "test"))


def answers_of(agent: Agent[Any, Any] | Workflow[Any, Any], fn: Any) -> Callable[[Any], Any]:
    """A function, an exception to raise, or a list of what each attempt gets, as one function."""
    if isinstance(fn, BaseException):
        return lambda _: _raised(fn)
    if callable(fn):
        return fn  # type: ignore[no-any-return]  # narrowed from Any
    if isinstance(fn, Sequence) and not isinstance(fn, (str, bytes)):
        left = list(fn)

        def next_of(_: object) -> Any:
            if not left:
                raise AssertionError(f"the stub of {agent.name!r} has {len(fn)} answers, and was asked once more")
            return _raised(left.pop(0))

        return next_of
    raise TypeError(
        f"t.stub({agent.name}, …) takes a function of the input, an exception or a list with an answer for each attempt, "
        f"not {fn!r}; the same answer each time: t.stub({agent.name}, lambda given: {fn!r})"
    )


def _raised(answer: object) -> object:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _decoded(codec: Codec[Any], payload: Payload) -> Any:
    return codec.decode(payload)


def _awaited(value: Any) -> Any:
    async def wait() -> Any:
        return await value

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as aside:  # an async test: its loop is busy with us
        return aside.submit(asyncio.run, wait()).result()
