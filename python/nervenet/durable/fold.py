# SPDX-License-Identifier: Apache-2.0
"""The state of a run: steps, timers, signals, and the commands that are still open.

The code calls `issue`, `give_up`, `start_timer`, `receive` and others; entries arrive in `take`. Both change plain
state, and each change that concerns the node adds a command. `outstanding()` returns the open commands from the state
alone. So a machine that was rebuilt from its journal continues exactly as the one that was lost.

An entry about a step that the code has asked for and given up is ignored. An entry about a step that it has never asked
for means that this code did not write the journal: `Contradiction`, and the run is blocked. One exception: where the
code took a new branch (`patched`), results of steps that the earlier code had sent may still arrive. They are kept
until this code asks for them (decision 0010).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from nervenet.codecs import Codecs
from nervenet.durable.children import ChildRun, OutgoingSignal
from nervenet.durable.commands import (
    Command,
    RecordPatch,
    StartTimer,
    StopTimer,
    Withdraw,
)
from nervenet.durable.lines import Site
from nervenet.durable.loop import DurableLoop, DurableTimer
from nervenet.durable.pending import ASKING, FAILING, OPEN, SENT, SETTLED, Contradiction, FailedAttempt, Pending
from nervenet.durable.retry import LOST_LIMIT, RetryAt, SuspectedStep, next_attempt
from nervenet.records import (
    NO_TRACE,
    Action,
    Attempt,
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
    TimerFired,
    Usage,
)

_NOW: Final = 1 << 62
"""Later than any entry: the patch was asked for, but its entry is not folded yet."""
EMPTY: Final[dict[Any, Any]] = {}
"""The shared empty dict for fields that most workflows do not use. It is replaced, never changed: an empty dict of its own has
64 bytes, and a node can have a thousand workflows in memory that only wait."""


_LONGEST_MESSAGE: Final = 300
"""Characters of a failed attempt's message that are kept for people."""


class Receiver(asyncio.Future[Payload]):
    """A wait for a signal, with the time at which it began."""

    __slots__ = ("since_ms",)
    since_ms: int


class Fold:
    """The state of one run. `commands` are those of the entry being applied."""

    __slots__ = (
        "asked",
        "canceled",
        "changed_ms",
        "children",
        "codecs",
        "commands",
        "counters",
        "early",
        "entries",
        "given_up",
        "known",
        "labels",
        "loop",
        "n",
        "now_ms",
        "on_report",
        "patches",
        "pending",
        "receivers",
        "recorded",
        "run",
        "seed",
        "sendings",
        "timer_count",
        "timer_mark",
        "timers",
        "trace",
        "unproven",
        "unread",
        "usage",
        "withdrawn",
        "workflow_id",
    )

    def __init__(self, workflow_id: str, run: int, on_report: Callable[[str], None], codecs: Codecs) -> None:
        self.codecs = codecs
        self.workflow_id = workflow_id
        self.run = run
        self.on_report = on_report
        self.loop: DurableLoop
        self.seed = b""
        self.trace = NO_TRACE
        self.labels: Any = None
        self.now_ms = self.n = self.entries = self.known = 0
        self.commands: list[Command] = []
        self.given_up: dict[str, None] = EMPTY  # steps that were given up, so their commands of this entry are obsolete
        self.pending: dict[str, Pending] = {}
        self.asked: dict[str, None] = EMPTY  # among them are all pending steps that have a question
        self.withdrawn: dict[str, Pending] = EMPTY
        self.counters: dict[str, int] = {}
        self.timers: dict[int, DurableTimer] = EMPTY
        self.timer_count = self.timer_mark = 0
        self.unread: dict[str, list[tuple[Payload, int, int]]] = EMPTY  # with the entry's time and number
        self.receivers: dict[str, list[Receiver]] = {}
        self.usage: dict[str, Usage] = EMPTY
        self.canceled: Cancel | None = None
        self.children: dict[str, ChildRun] = EMPTY
        self.sendings: dict[str, OutgoingSignal] = EMPTY
        self.recorded: dict[str, bool] = EMPTY  # what the journal will say
        self.patches: dict[str, bool] = EMPTY  # the answers that the code got
        self.unproven: dict[str, None] = EMPTY  # answers that are not in the journal yet
        self.changed_ms = 0  # until when the earlier code may have sent steps
        self.early: dict[str, list[Entry]] = EMPTY  # results of steps that this code has not asked for yet

    # ── called by the code ───────────────────────────────────────────────────────────────────────────────────────────

    def issue(self, call: Pending) -> None:
        """The code awaits this call from now on: give it a name, and add its first command."""
        call.since_ms, call.born = self.now_ms, self.entries
        call.future = asyncio.Future(loop=self.loop)
        self._enlist(call, call.options.step or call.capability or "ask")

    def _enlist(self, call: Pending, base: str) -> None:
        step = self._known_step(call, base) if self.early else ""
        call.begin(step or self._numbered_step(base))
        self.pending[call.step] = call
        if call.question is not None:
            self._remember_question(call)
        if call.kind == "call" and call.options.total_ms is not None:
            self._set_total(call)
        if (command := call.wanted()) is not None:
            self.commands.append(command)
        for entry in self.early.pop(step, ()) if step else ():
            self.commands = [c for c in self.commands if getattr(c, "step", None) != step]
            self.take(entry)

    def _known_step(self, call: Pending, base: str) -> str:
        """The step that the earlier code sent for this same call, if its entries have arrived already."""
        for step, entries in self.early.items():
            bodies = (entry.body for entry in entries)
            if step.partition(".")[0] == base and all(
                call.fits(body) for body in bodies if isinstance(body, (Outcome, Attempt))
            ):
                return step
        return ""

    def _numbered_step(self, base: str) -> str:
        while True:
            count = self.counters[base] = self.counters.get(base, 0) + 1
            step = base if count == 1 else f"{base}.{count}"
            if step not in self.early:
                return step

    def start_child(self, child: ChildRun, base: str) -> None:
        """The code starts a child."""
        step = self._numbered_step(base)
        child.begin(step, self._name(), self.entries, self.loop)
        child.since_ms = self.now_ms
        self.children = self.children or {}
        self.children[step] = child
        self.commands.append(child.start())

    def cancel_child(self, child: ChildRun) -> bool:
        """The code gives the child up. Returns whether a command stops it."""
        if self.children.get(child.step) is not child or child.canceling:
            return False
        if child.born == self.entries and not child.running:  # its command was not returned yet
            del self.children[child.step]
            self.commands.remove(child.start())
            return False
        child.canceling = True
        if child.running:
            self.commands.append(child.cancelation())
        return True

    def send(self, sending: OutgoingSignal) -> None:
        """The code sends a signal to another workflow."""
        step = self._numbered_step(f"sent:{sending.signal}")[5:]
        sending.begin(step, self._name(), self.entries, self.loop)
        sending.since_ms = self.now_ms
        self.sendings = self.sendings or {}
        self.sendings[step] = sending
        self.commands.append(sending.wanted())

    def unsend(self, sending: OutgoingSignal) -> None:
        """The code no longer waits for the signal. If its command was returned already, it is sent anyway."""
        if sending.born == self.entries and self.sendings.pop(sending.step, None) is not None:
            self.commands.remove(sending.wanted())

    def _name(self) -> str:
        """This run, as the first part of ids that consist of run and step."""
        return self.workflow_id if self.run == 1 else f"{self.workflow_id}~{self.run}"

    def give_up(self, call: Pending, on_cancel: str) -> bool:
        """The code gives this call up. Returns whether a command stops it."""
        if self.pending.pop(call.step, None) is None:
            return False
        self.given_up = self.given_up or {}
        self.given_up[call.step] = None
        if call.born == self.entries or on_cancel == "leave":  # its command was not returned yet, or must not be
            return False
        self.withdrawn = self.withdrawn or {}
        self.withdrawn[call.step] = call
        self.commands.append(call.withdrawal())
        return True

    def start_timer(self, handle: DurableTimer) -> int:
        self.timer_count = number = self.timer_count + 1
        self.timers = self.timers or {}
        self.timers[number] = handle
        self.commands.append(StartTimer(number, handle.due_ms))
        return number

    def stop_timer(self, number: int) -> None:
        handle = self.timers.pop(number, None)
        if handle is None:
            return
        command = StartTimer(number, handle.due_ms)
        if number > self.timer_mark and command in self.commands:  # its command was not returned yet
            self.commands.remove(command)
        else:
            self.commands.append(StopTimer(number))

    def patched(self, change: str) -> bool:
        """Whether this run takes the new branch. The answer never changes; if it is recorded, the recorded one counts.

        If the journal continues after this point, the run passed it with the earlier code. Entries of patches do not
        count: several patches at one point get the same answer, even if a crash comes between their entries.
        """
        answer = self.patches.get(change)
        if answer is None:
            recorded = self.recorded.get(change)
            answer = self.entries >= self.known if recorded is None else recorded
            self.patches = {**self.patches, change: answer}
            if answer:
                self.changed_ms = _NOW
            if answer and recorded is None:
                self.unproven = {**self.unproven, change: None}
                self.commands.insert(0, RecordPatch(change))
        return answer

    def report(self, message: str) -> None:
        self.on_report(message)

    def listen(self, signal: str) -> Receiver:
        """The next unread message of this signal, now or when it arrives."""
        future = Receiver(loop=self.loop)
        future.since_ms = self.now_ms
        if unread := self.unread.get(signal):
            future.set_result(unread.pop(0)[0])
        else:
            self.receivers.setdefault(signal, []).append(future)
        return future

    def unlisten(self, signal: str, future: Receiver) -> None:
        """The receiver was cancelled. It has no message: the message of an entry is read before other code runs."""
        waiting = self.receivers.get(signal, [])
        if future in waiting:
            waiting.remove(future)

    # ── called for entries of the journal ────────────────────────────────────────────────────────────────────────────

    def foresee(self, entries: Sequence[Entry]) -> None:
        """Read the journal before it is folded: patches need their answers before their entries."""
        for count, entry in enumerate(entries, self.entries + 1):
            if isinstance(entry.body, Patched):
                self.recorded = {**self.recorded, entry.name[6:]: entry.body.answer}
            else:
                self.known = count

    def begin(self, entry: Entry) -> None:
        """Begin an entry: set the time, and start an empty list of commands."""
        self.entries += 1
        self.now_ms = entry.time_ms
        self.n = entry.n
        self.timer_mark = self.timer_count
        self.commands = []
        self.given_up = EMPTY

    def take(self, entry: Entry) -> None:
        """Fold one entry that is neither start, cancel nor close. Raises Contradiction."""
        handler = _HANDLERS.get(type(entry.body))
        if handler is None:
            raise Contradiction(entry.name)
        handler(self, entry, entry.body)

    def outstanding(self) -> Iterator[Command]:
        """All open commands, from the state alone."""
        yield from map(RecordPatch, self.unproven)
        for call in self.pending.values():
            if (command := call.wanted()) is not None:
                yield command
        yield from (call.withdrawal() for call in self.withdrawn.values())
        for child in self.children.values():
            if (command := child.wanted()) is not None:
                yield command
        yield from (sending.wanted() for sending in self.sendings.values())
        yield from (StartTimer(number, handle.due_ms) for number, handle in self.timers.items())

    def waits_for_human(self) -> bool:
        """Whether a pending step has a question. Looking at all steps would cost a fan-out of thousands that for each of its entries."""
        while self.asked:
            step = next(reversed(self.asked))
            call = self.pending.get(step)
            if call is not None and call.question is not None:
                return True
            del self.asked[step]
        return False

    def asks(self) -> tuple[str, Site | None]:
        """The steps that the code waits for, as text, and the line of the first one."""
        steps = list(self.pending.values())
        words = [("task:" if call.kind == "call" else "escalated:") + call.step for call in steps]
        words += [("task:" if child.running else "child:") + step for step, child in self.children.items()]
        words += [f"sent:{step}" for step in self.sendings]
        words += [f"signal {name}" for name, waiting in self.receivers.items() if waiting]
        words += [f"timer:{number}" for number in self.timers]
        more = f" and {len(words) - 3} more" if len(words) > 3 else ""
        sites = [one.site for one in steps]
        sites += [child.site for child in self.children.values()] + [one.site for one in self.sendings.values()]
        return ", ".join(words[:3]) + more, sites[0] if sites else None

    def forget(self) -> None:
        """The code has ended: break reference cycles, so that memory is freed without the garbage collector."""
        self.on_report = _ignore_report
        self.receivers.clear()
        for call in self.pending.values():
            call.future.cancel()
        for child in self.children.values():
            child.started.cancel()
            child.ended.cancel()
        for sending in self.sendings.values():
            sending.gone.cancel()

    def _task(self, entry: Entry, outcome: Outcome) -> None:
        step = entry.name[5:]
        call = self.pending.get(step)
        if call is None and step in self.children:
            self._child_ended(entry, step, outcome)
            return
        if call is None:
            self._ignore(entry, step)
            if (call := self.withdrawn.pop(step, None)) is None:
                return
        elif self.changed_ms and self._is_taken(entry, call, outcome):
            return
        else:
            del self.pending[step]
            call.check(entry, outcome)
        self._spend(outcome.usage)
        if not call.future.done():
            call.future.set_result(self._decoded(outcome))

    def _attempt(self, entry: Entry, body: Attempt) -> None:
        call, n = self._numbered(entry)
        if call is None or (self.changed_ms and self._is_taken(entry, call, body)):
            return
        if call.kind != "call" or n > call.attempt:
            raise Contradiction(entry.name, f"attempt:{call.step}#{call.attempt}", call.site)
        call.check(entry, body)
        self._spend(body.usage)
        if n < call.attempt or call.phase is not SENT:
            return
        if body.question is not None:
            self._ask(call, replace(body.question, source="agent"))
        else:
            self._failed(call, body)

    def _timer(self, entry: Entry, body: TimerFired) -> None:
        number = _number(entry.name[6:])
        if number > self.timer_count:
            raise Contradiction(entry.name)
        handle = self.timers.pop(number, None)
        if handle is None:
            return
        if handle.due_ms != body.due_ms:
            raise Contradiction(f"{entry.name} due {body.due_ms}", f"{entry.name} due {handle.due_ms}")
        self.loop.fire(handle)

    def _signal(self, entry: Entry, body: Signaled) -> None:
        payload = self.codecs.decode(body.payload)
        if waiting := self.receivers.get(body.signal):
            waiting.pop(0).set_result(payload)
        else:
            self.unread = self.unread or {}
            self.unread.setdefault(body.signal, []).append((payload, entry.time_ms, entry.n))

    def _child(self, entry: Entry, body: ChildStarted) -> None:
        step = entry.name[6:]
        child = self.children.get(step)
        if child is None:
            self._ignore(entry, step)
            return
        child.check(entry, body.workflow_id, body.definition)
        child.running = True
        failure = None if body.failure is None else self.codecs.decode_failure(body.failure)
        if failure is not None:
            del self.children[step]
            child.end(Outcome(None, failure))
        elif child.canceling:  # given up while it was started
            self.commands.append(child.cancelation())
        if not child.started.done():
            child.started.set_result(failure)

    def _child_ended(self, entry: Entry, step: str, outcome: Outcome) -> None:
        """The outcome may precede the entry of the start, if the child's owner was faster than this one."""
        child = self.children.pop(step)
        if outcome.capability:
            child.check(entry, child.id, outcome.capability)
        child.running = True
        if not child.started.done():
            child.started.set_result(None)
        child.end(self._decoded(outcome))

    def _sent(self, entry: Entry, body: SignalSent) -> None:
        step = entry.name[5:]
        sending = self.sendings.pop(step, None)
        if sending is None:
            self._ignore(entry, entry.name)
            return
        sending.check(entry, body.workflow_id, body.signal)
        if not sending.gone.done():
            sending.gone.set_result(None if body.failure is None else self.codecs.decode_failure(body.failure))

    def _patch(self, entry: Entry, body: Patched) -> None:
        change = entry.name[6:]
        if (
            self.patches.get(change) is not body.answer
        ):  # the code has not asked for it, although all earlier entries are folded
            raise Contradiction(entry.name)
        self.unproven.pop(change, None)
        if body.answer:
            self.changed_ms = entry.time_ms

    def _escalated(self, entry: Entry, body: Escalated) -> None:
        call, number = self._numbered(entry)
        if (
            call is None
            or number < call.question_number
            or (number == call.question_number and call.phase in (OPEN, SETTLED))
        ):
            return
        theirs, ours = body.question, call.question
        if _asks_about_lost_agents(theirs, call, number):
            call.attempt -= call.phase is SENT  # this code would have made another attempt
        else:
            if number > call.question_number or ours is None or call.phase is not ASKING:
                raise Contradiction(entry.name, site=call.site)
            if (theirs.text, theirs.choices) != (ours.text, ours.choices):
                raise Contradiction(f"{entry.name} {theirs.text!r}", f"{entry.name} {ours.text!r}", call.site)
        call.question, call.question_number, call.phase, call.asked_ms = theirs, number, OPEN, self.now_ms
        self._remember_question(call)
        self._want(call)

    def _decided(self, entry: Entry, body: Decided) -> None:
        call, number = self._numbered(entry)
        if call is None or number < call.question_number:
            return
        if number > call.question_number or call.question is None or call.phase is not OPEN:
            raise Contradiction(entry.name, site=call.site)
        if body.action is Action.RETRY and call.kind == "ask":
            self._ask(call, call.question)
        elif body.action is Action.RETRY:
            call.tally = call.tally.grant(body.attempts)
            call.hint, call.question = body.comment, None
            self._set_total(call)
            self._again(call, 0)
        elif body.action is Action.CANCEL_WORKFLOW:  # `cancel` follows; a step that is shielded from it ends too
            words = body.comment or "the workflow was canceled instead of answering"
            self._fail(call, Failure(FailureCode.CANCELED, words, source=call.step))
        else:
            call.decided, call.phase = body, SETTLED

    def _decoded(self, outcome: Outcome) -> Outcome:
        """The outcome as the code gets it. Raises CodecError."""
        output, failure = outcome.output, outcome.failure
        if output is not None and output.about:
            outcome = replace(outcome, output=self.codecs.decode(output))
        return outcome if failure is None else replace(outcome, failure=self.codecs.decode_failure(failure))

    # ── the next state of a step ─────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, call: Pending, body: Attempt) -> None:
        failure, agent_id = body.failure or Failure(FailureCode.INTERNAL, "no reason was given"), body.agent_id
        call.tally = call.tally.after(failure, at_ms=self.now_ms, agent_id=agent_id, blame=body.blame_percent)
        call.last_failed = FailedAttempt(_brief(failure), self.now_ms)
        if agent_id and call.options.avoid_failed_agents and agent_id not in call.avoid:
            call.avoid = (*call.avoid, agent_id)[-8:]
        decision = next_attempt(
            call.options,
            failure,
            call.tally,
            now_ms=self.now_ms,
            total_due_ms=call.total_due_ms,
            seed=f"{self.workflow_id}~{self.run}/{call.step}#{call.attempt}",
        )
        if isinstance(decision, RetryAt):
            self._again(call, decision.at_ms)
        elif isinstance(decision, SuspectedStep) and call.options.escalate_loss:
            failure = decision.failure
            words = f"{call.capability} may be what ends its agents. {failure.message}. {_WHAT_TO_DO}"
            self._ask(call, Question(words, "exhausted", schema=call.output.schema(), failure=failure))
        elif isinstance(decision, SuspectedStep):
            self._fail(call, decision.failure)
        elif call.options.escalate:
            failure = decision.failure
            words = f"{call.capability} failed: {failure.type or failure.code}: {failure.message}"
            self._ask(call, Question(words, "exhausted", schema=call.output.schema(), failure=failure))
        else:
            self._fail(call, decision.failure)

    def _again(self, call: Pending, at_ms: int) -> None:
        call.attempt += 1
        call.at_ms, call.phase = at_ms, SENT
        self._want(call)

    def _fail(self, call: Pending, failure: Failure) -> None:
        call.failure, call.question, call.phase = replace(failure, attempt=call.attempt), None, FAILING
        self._want(call)

    def _ask(self, call: Pending, question: Question) -> None:
        call.question_number += 1
        call.question, call.phase = question, ASKING
        self._remember_question(call)
        self._want(call)

    def _remember_question(self, call: Pending) -> None:
        self.asked = self.asked or {}
        self.asked[call.step] = None

    def still_wanted(self, commands: list[Command]) -> list[Command]:
        """The commands of this entry, without those of steps that were given up in it."""
        return [c for c in commands if isinstance(c, Withdraw) or getattr(c, "step", None) not in self.given_up]

    def _want(self, call: Pending) -> None:
        if (command := call.wanted()) is not None:
            self.commands.append(command)

    def _set_total(self, call: Pending) -> None:
        total_ms = call.options.total_ms
        call.total_due_ms = None if total_ms is None else self.now_ms + total_ms

    def _numbered(self, entry: Entry) -> tuple[Pending | None, int]:
        """The pending step and the number in `<kind>:<step>#<number>`; None for a step that is over."""
        step, _, number = entry.name.partition(":")[2].rpartition("#")
        call = self.pending.get(step)
        if call is None:
            self._ignore(entry, step)
        return call, _number(number)

    def _ignore(self, entry: Entry, step: str) -> None:
        """An entry of a step that the code does not wait for: late if the code has asked for it before, else a
        contradiction."""
        base, _, count = step.partition(".")
        if step not in self.early and _number(count or "1") <= self.counters.get(base, 0):
            return
        if not self._is_of_before(entry.body):
            raise Contradiction(entry.name)
        self._keep(entry, step)

    # ── steps that the code before a change has sent ─────────────────────────────────────────────────────────────────

    def _is_of_before(self, body: object) -> bool:
        """Whether this was sent to an agent before the code took a new branch."""
        if not isinstance(body, (Outcome, Attempt)):
            return False
        return 0 < (body.scheduled_ms or body.started_ms) <= self.changed_ms

    def _is_taken(self, entry: Entry, call: Pending, body: Outcome | Attempt) -> bool:
        """Whether the earlier code sent another call under this name. Then this call gets another name."""
        if call.fits(body) or not self._is_of_before(body):
            return False
        self._keep(entry, call.step)
        del self.pending[call.step]
        self._enlist(call, call.step.partition(".")[0])
        return True

    def _keep(self, entry: Entry, step: str) -> None:
        self.early = {**self.early, step: [*self.early.get(step, ()), entry]}

    def _spend(self, usage: tuple[Usage, ...]) -> None:
        for item in usage:
            self.usage = self.usage or {}
            old = self.usage.get(item.model)
            self.usage[item.model] = (
                item
                if old is None
                else Usage(item.model, old.input_tokens + item.input_tokens, old.output_tokens + item.output_tokens)
            )


_WHAT_TO_DO: Final = (
    "Look into the logs of these agents, and at the memory of their hosts. Retry it if it was not the cause; "
    "else complete it by hand, let it fail, or cancel the workflow."
)


def _asks_about_lost_agents(question: Question, call: Pending, number: int) -> bool:
    """Whether this is the question after lost agents. The required blame and the text of the question differ between
    releases, so the question in the journal counts."""
    failure = question.failure
    return (
        question.source == "exhausted"
        and failure is not None
        and failure.code is FailureCode.AGENT_LOST
        and call.phase in (SENT, FAILING, ASKING)
        and call.tally.lost >= LOST_LIMIT
        and number == call.question_number + (call.phase is not ASKING)
    )


def _brief(failure: Failure) -> Failure:
    """What people see of it. The rest is in the journal, and need not stay in memory."""
    return replace(failure, message=failure.message[:_LONGEST_MESSAGE], stack_trace="", details=None, cause=None)


def _ignore_report(message: str) -> None:
    """The reporter of a workflow that was dropped: it does nothing."""


def _number(text: str) -> int:
    """The number in an entry's name. Other text becomes a number that no code can have asked for."""
    return int(text) if text.isdecimal() else 1 << 62


_HANDLERS: dict[type, Callable[[Fold, Entry, Any], None]] = {
    Outcome: Fold._task,
    Attempt: Fold._attempt,
    TimerFired: Fold._timer,
    Signaled: Fold._signal,
    Escalated: Fold._escalated,
    Decided: Fold._decided,
    Patched: Fold._patch,
    ChildStarted: Fold._child,
    SignalSent: Fold._sent,
}
