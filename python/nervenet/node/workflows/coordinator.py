# SPDX-License-Identifier: Apache-2.0
"""Drives exactly one workflow: entries of its journal go into its machine, commands come out and are carried out.

The base class `OwnedJournal` delivers each entry once, in order, and appends. What a command needs of the rest of the
node is one record of functions, `Effects`. A coordinator never waits for an answer in the middle of an entry.

It holds nothing that the journal cannot rebuild, except what it sent where (`DispatchedAttempt`): a look at Redis can replace that
too, which is what `tasks/pending_monitor.py` does.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

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
    Publish,
    RecordPatch,
    SendSignal,
    StartChild,
    StartTimer,
    StopTimer,
    Withdraw,
    failure_text,
)
from nervenet.durable.check import is_due
from nervenet.durable.fold import EMPTY
from nervenet.durable.machine import canceled_close
from nervenet.durable.pending import OPEN
from nervenet.node.guards.replay_check import difference
from nervenet.node.workflows.journal_limit import weigh_journal
from nervenet.node.workflows.owned_journal import OwnedJournal
from nervenet.node.workflows.tracing import Story
from nervenet.records import (
    Attempt,
    Cancel,
    Close,
    Entry,
    Escalated,
    Outcome,
    Patched,
    Start,
    State,
    TimerFired,
    UnreadableEntry,
)
from nervenet.streams.journal import clipped_note
from nervenet.timing import WORKFLOW_CLEAN_UP_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from nervenet.definitions import Workflow
    from nervenet.durable import ChildRun
    from nervenet.node.context import NodeContext
    from nervenet.node.timers import RoundItem, Timer
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.records import Failure, Mismatch
    from nervenet.redis_link.faults import Unreadable

_log = logging.getLogger(__name__)

RUNNING: Final[tuple[State, str]] = (State.RUNNING, "")
"""What the head of a workflow says from its start."""
STEP = "step"
"""What entries wait for while the code of one entry runs in parts, so that the node's event loop is never blocked for long."""
REST = "rest"
"""What entries wait for while the commands of one entry are carried out in parts."""
CALLBACKS_AT_A_TIME = 200
COMMANDS_AT_A_TIME = 50
"""Parts of a few milliseconds each."""
CHECK = "check"
"""What entries wait for while a second machine folds the journal again, in development."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a coordinator can have done: one function for each effect, so that an effect costs one call."""

    # tasks
    dispatch: Callable[[Coordinator, Dispatch], None]
    """Send an attempt when it is due, and limit its time."""
    follow: Callable[[Coordinator, Dispatch], object]
    """Limit the time of an attempt that an agent has already."""
    withdraw: Callable[[Coordinator, Withdraw, DispatchedAttempt | None], None]
    """Stop a step that the workflow no longer wants: command, and its attempt if this node sent one."""
    release_agent: Callable[[DispatchedAttempt], None]
    """The attempt is no longer with the agent that it was sent to."""
    attempt_ended: Callable[[str, str, Failure | None, int], None]
    """An agent has ended an attempt: agent id, capability, failure, time."""

    # questions to people
    question_entry: Callable[[Coordinator, Entry], None]
    """An entry is folded that opens or ends a question."""
    expire_at: Callable[[Coordinator, Expire], Timer]
    relist_questions: Callable[[Coordinator], None]

    # other workflows, and the next run
    carry_out: Callable[[Coordinator, StartChild | CancelChild | SendSignal], Coroutine[Any, Any, None]]
    cancel_children: Callable[[Coordinator, Close], Coroutine[Any, Any, None]]
    """Cancel the children that end with this run, then append its end."""
    continue_run: Callable[[Coordinator, ContinueRun], Coroutine[Any, Any, None]]

    # its journal
    weigh_entry: Callable[[int], None]
    """A journal in memory grew by this number of bytes."""
    forget_entries: Callable[[Coordinator], None]
    """A journal is no longer in memory."""
    reload: Callable[[Coordinator, str], None]
    suspect: Callable[[Coordinator], None]
    mend: Callable[[Coordinator, Unreadable], Coroutine[Any, Any, None]]
    forget: Callable[[Coordinator], None]
    closed: Callable[[Coordinator, Close], None]
    blocked: Callable[[Coordinator], None]
    """The run has become BLOCKED, or for another cause."""


class Coordinator(OwnedJournal):
    """See the module."""

    __slots__ = (
        "_effects",
        "_entries",
        "_held",
        "_timers",
        "deferred_commands",
        "envelope_part",
        "labels",
        "listed_questions",
        "machine",
        "mirrored",
        "parent",
        "recovered",
        "req",
        "sent",
        "span_id",
        "story",
        "timeout_ms",
        "trace",
        "watched",
    )

    def __init__(
        self, context: NodeContext, effects: Effects, machine: Machine, start: Start, applied: int, req: bytes
    ) -> None:
        super().__init__(context, machine.workflow_id, machine.run, effects.weigh_entry, applied)
        self._effects = effects
        self.machine = machine
        self.trace = start.trace
        self.span_id = start.span_id  # b"": not traced
        self.story = Story() if start.span_id else None
        self.labels = dict(start.labels) if start.labels else EMPTY
        self.timeout_ms = start.timeout_ms
        self.req = req  # of a run behind the first, whose start does not tell it
        self.listed_questions: tuple[tuple[str, int], ...] = ()  # its questions in the list of open escalations
        self.sent: dict[str, DispatchedAttempt] = {}
        self.envelope_part: tuple[str, bytes] | None = None  # a node's id, and what all envelopes of it have in common
        self.recovered = False
        self.watched: RoundItem[Coordinator] | None = None
        self.deferred_commands: tuple[Command, ...] = ()
        self.parent = start.parent
        self._timers: dict[int | tuple[str, int], Timer] = EMPTY
        """By number, the workflow's own limit under 0; those of questions by step and number."""
        self._entries: list[Entry] | None = None if context.replay_process is None else []
        self._held: list[Command] = []
        self.mirrored = RUNNING

    def __repr__(self) -> str:
        return f"<Coordinator {self.workflow_id} {self.machine.state} {self.applied} entries, {len(self.sent)} sent>"

    # ── entries in ───────────────────────────────────────────────────────────────────────────────────────────────────

    def replay(self, entry: Entry, data: bytes) -> None:
        """Fold an entry of the past. Its commands were carried out then, or `outstanding` returns them after the replay."""
        self._at(entry, data)
        self._context.codecs.look_for_keys_in(data)
        if self.story is not None:
            self.story.add(entry)
        if self._entries is not None:
            self._entries.append(entry)
        self._context.collector_pause.hold()
        self._context.watchdog.enter(self.machine)
        self.machine.apply(entry, replaying=True, most=CALLBACKS_AT_A_TIME)
        self._context.watchdog.leave()

    def replay_on(self) -> bool:
        """Run the next part of a large entry. Returns whether there was one: call it again then."""
        if not self.machine.unfinished:
            return False
        self._context.collector_pause.hold()
        self._context.watchdog.enter(self.machine)
        self.machine.go_on(CALLBACKS_AT_A_TIME)
        self._context.watchdog.leave()
        return True

    def continue_after_replay(self, skip: Callable[[Dispatch], bool]) -> None:
        """After a replay: carry out what is outstanding, except dispatches whose attempt an agent may run: those are followed only."""
        self.recovered = True
        self._arm_timeout()
        wanted: list[Command] = []
        for command in self.machine.outstanding():
            if isinstance(command, Dispatch) and skip(command):
                self._effects.follow(self, command)
            else:
                wanted.append(command)
        self._carry_out_all(wanted)
        self._effects.relist_questions(self)
        self.mirror()
        self._end_blocked()

    def _arm_timeout(self) -> None:
        """The workflow's timeout: first a cancel; if the clean-up takes too long, the end."""
        timers, cancel = self._context.timers, self.machine.cancel
        if cancel is None and self.timeout_ms is not None:
            self._wait_for(0, timers.at(self.created_ms + self.timeout_ms, self._time_is_up))
        elif cancel is not None and cancel.forced:
            self._wait_for(0, timers.at(self._context.clock.now_ms() + WORKFLOW_CLEAN_UP_MS, self._clean_up_is_over))

    def _wait_for(self, which: int | tuple[str, int], timer: Timer) -> None:
        self._timers = self._timers or {}
        self._timers[which] = timer

    def _time_is_up(self) -> None:
        self.record(
            "cancel", Cancel(f"it took longer than {self.timeout_ms} ms", self._context.status.node_id, timeout=True)
        )

    def _clean_up_is_over(self) -> None:
        assert self.machine.cancel is not None
        why = f"its clean-up took more than {WORKFLOW_CLEAN_UP_MS // 1000} s"
        self._close(_without_clean_up(self.machine.cancel, why))

    def _apply(self, entry: Entry, data: bytes) -> None:  # for every entry: what is a call here costs
        self._at(entry, data)
        self._context.codecs.look_for_keys_in(data)
        if self.story is not None:
            self.story.add(entry)
        metrics, machine = self._context.metrics, self.machine
        metrics.folded(len(data))
        name, body = entry.name, entry.body
        if type(body) is UnreadableEntry:
            pass  # its name says nothing for sure
        elif type(body) is Outcome:
            step = name[5:]
            self._over(step)
            if (pending := machine.pending_step(step)) is not None:
                metrics.task_over(pending.capability, entry.time_ms - pending.since_ms, body.failure)
            if body.agent_id and body.failure is None:
                self._effects.attempt_ended(body.agent_id, body.capability, None, entry.time_ms)
            if self.listed_questions:
                self._effects.question_entry(self, entry)
        elif name.startswith("attempt:"):
            self._attempt_failed(entry, name[8:])
        elif name.startswith(("decided:", "escalated:")):
            self._effects.question_entry(self, entry)
        context = self._context
        context.collector_pause.hold()
        watchdog = context.watchdog
        watchdog.applying = (machine,)
        commands = machine.apply(entry, most=CALLBACKS_AT_A_TIME)
        watchdog.applying = None
        if machine.unfinished:
            self._unproven |= {STEP}
            asyncio.get_running_loop().call_soon(self._go_on, entry)
        else:
            self._applied(entry, commands)

    def _attempt_failed(self, entry: Entry, attempt: str) -> None:
        step, _, n = attempt.rpartition("#")
        if (sent := self.sent.get(step)) is not None and str(sent.dispatch.attempt) == n:
            self._over(step)
        if isinstance(body := entry.body, Attempt) and body.failure is not None:
            if body.agent_id:
                self._effects.attempt_ended(body.agent_id, body.capability, body.failure, entry.time_ms)
            if self._entries is not None:  # `nervenet dev` logs everything that fails
                _log.warning("%s: %s failed: %s", self.workflow_id, attempt, failure_text(body.failure))

    def _go_on(self, entry: Entry) -> None:
        """Run the next part of a large entry. Entries that arrive meanwhile are read again after it."""
        if self.dropped:
            return
        self._context.collector_pause.hold()
        self._context.watchdog.enter(self.machine)
        commands = self.machine.go_on(CALLBACKS_AT_A_TIME)
        self._context.watchdog.leave()
        if self.machine.unfinished:
            asyncio.get_running_loop().call_soon(self._go_on, entry)
            return
        self._unproven -= {STEP}
        self._applied(entry, commands)
        if not self.dropped:
            self.catch_up()

    def _applied(self, entry: Entry, commands: list[Command]) -> None:
        """The code waits again: carry out its commands."""
        body = entry.body
        if type(body) is Close and body.state is not State.UNRECOGNIZED:  # else it is blocked by it
            if self._entries is not None and (failure := body.failure) is not None:
                at = f" at {self.machine.failed_at}" if self.machine.failed_at else ""
                _log.warning("%s is %s%s: %s", self.workflow_id, body.state, at, failure_text(failure))
            self._effects.closed(self, body)
            return
        if type(body) is Start or type(body) is Cancel:
            self._arm_timeout()
        if self._entries is not None and self._must_prove(self._entries, entry, commands):
            self._held += commands
            commands = []
        if self.applied > self._context.config.journal_limit // 2:  # a shorter one need not be weighed
            self._weigh()
        if commands:
            self._carry_out_all(commands)
        self.mirror()
        if self.canceled is not None:
            self._end_blocked()

    def block(self, why: Mismatch) -> None:
        """Block the run, for a reason outside of the machine."""
        self.machine.blocked = why
        self.machine.close()
        self.mirror()

    def _end_blocked(self) -> None:
        """End a run that is blocked and canceled: its code cannot clean up."""
        blocked, cancel = self.machine.blocked, self.canceled
        if blocked is None or cancel is None or self.dropped:
            return
        self._close(_without_clean_up(cancel, f"it was BLOCKED ({blocked.note}), so its code did not clean up"))

    def _weigh(self) -> None:
        if self.machine.cancel is None:
            why = weigh_journal(self.workflow_id, self.machine.entries, self._context.config.journal_limit)
            if why is not None:
                self.record("cancel", Cancel(why, self._context.status.node_id, journal_full=True))

    def _must_prove(self, entries: list[Entry], entry: Entry, commands: list[Command]) -> bool:
        """The replay check of `nervenet dev`: a second machine must issue the same commands, or a crash would block the run.

        What this entry brings waits for the answer, and so does what comes meanwhile.
        """
        entries.append(entry)
        ends = any(isinstance(command, (CloseRun, ContinueRun)) for command in commands)
        if self.machine.blocked is not None or not is_due(len(entries), ends=ends):
            return False
        self._unproven |= {CHECK}
        self._context.spawn(self._prove(entries))
        return True

    async def _prove(self, entries: list[Entry]) -> None:
        context = self._context
        assert context.replay_process is not None
        try:
            found = await difference(self.machine, entries, context.replay_process, context.watchdog)
            if found is not None and not self.dropped:
                self._held.clear()
                self.block(found)
        finally:
            self.acknowledged(CHECK)

    def _over(self, step: str) -> DispatchedAttempt | None:
        """This node has nothing to do with the attempt of a step any more."""
        sent = self.sent.pop(step, None)
        if sent is not None:
            sent.end()
            if sent.agent_id:
                self._effects.release_agent(sent)
        return sent

    # ── commands out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _carry_out_all(self, commands: list[Command]) -> None:
        """Carry out commands in order. After a patch no command and no entry is handled until the journal has the patch.

        Many commands are carried out in parts: between two of them the node's loop does other things, this workflow nothing.
        """
        rest = commands[COMMANDS_AT_A_TIME:]
        for command in commands[:COMMANDS_AT_A_TIME] if rest else commands:
            if type(command) is RecordPatch:
                self._unproven |= {name := f"patch:{command.change}"}
                self.record(name, Patched(True))
            elif self._unproven:
                self._held.append(command)
            else:
                self._carry_out(command)
        if rest:
            self._held += rest
            self._unproven |= {REST}
            asyncio.get_running_loop().call_soon(self.acknowledged, REST)

    def acknowledged(self, name: str) -> None:
        """A patch is in the journal, or a part is done. After the last one, carry out what waited, and read what arrived."""
        self._unproven -= {name}
        if not self._unproven and not self.dropped:
            held, self._held = self._held, []
            self._carry_out_all(held)
            self.catch_up()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Dispatch():
                self._over(command.step)
                self._effects.dispatch(self, command)
            case CloseRun():
                self._close(command.close)
            case ContinueRun():
                self._context.spawn(self._effects.continue_run(self, command))
            case StartTimer():
                self._wait_for(command.number, self._context.timers.at(command.due_ms, self._fire, command))
            case StopTimer():
                self._stop_timer(command)
            case Withdraw():
                self._effects.withdraw(self, command, self._over(command.step))
            case FailStep():
                self._over(command.step)
                self.record(f"task:{command.step}", command.outcome)
            case EscalateStep():
                self.record(f"escalated:{command.step}#{command.question_number}", Escalated(command.question))
            case Expire():
                self._wait_for((command.step, command.question_number), self._effects.expire_at(self, command))
            case Publish():
                self.publish(command.view)
            case StartChild() | CancelChild() | SendSignal():
                self._context.spawn(self._effects.carry_out(self, command))

    def _close(self, close: Close) -> None:
        if self.machine.children and self.orphans:
            self._context.spawn(self._effects.cancel_children(self, close))
        else:
            self.close_run(close, self.machine.failed_at, self.machine.workflow.retention_ms)

    @property
    def busy(self) -> bool:
        """Whether it must be looked at once per lease: others work for it and may die unnoticed, or it is blocked and
        receives nothing by which it would notice that another node has it."""
        waits = self.sent or self.machine.children or self.deferred_commands or self.unconfirmed_entries
        return bool(waits) or self.machine.blocked is not None

    @property
    def workflow(self) -> Workflow[Any, Any]:
        """The definition that it runs."""
        return self.machine.workflow

    @property
    def is_quiet(self) -> bool:
        """Whether it only waits for timers, signals or people, so that it may leave memory: a replay makes all of it again.

        A run that is canceled is not: its time to clean up would begin again.
        """
        machine = self.machine
        if self.dropped or self.busy or self._unproven or self._early or self._held or self._reading:
            return False
        if machine.unfinished or machine.cancel is not None or machine.result is not None or machine.next is not None:
            return False
        return (
            not machine.sendings
            and all(call.phase is OPEN for call in machine.pending.values())
            and machine.timers.keys() <= self._timers.keys()  # else one that was due is being recorded
        )

    @property
    def due_ms(self) -> int | None:
        """When the first of its timers is due: its own, its limit, or the deadline of an open question. None: it has none."""
        return min((one.due_ms for key, one in self._timers.items() if self._still_counts(key)), default=None)

    def _still_counts(self, timer: int | tuple[str, int]) -> bool:
        if isinstance(timer, int):
            return True
        pending = self.machine.pending_step(timer[0])
        return pending is not None and pending.phase is OPEN and pending.question_number == timer[1]

    @property
    def orphans(self) -> list[ChildRun]:
        """Children that must end when this run ends."""
        return [child for child in self.machine.children.values() if not child.options.abandon_children]

    def _stop_timer(self, command: StopTimer) -> None:
        if (timer := self._timers.pop(command.number, None)) is not None:
            timer.cancel()

    def _fire(self, command: StartTimer) -> None:
        self._timers.pop(command.number, None)
        self.record(f"timer:{command.number}", TimerFired(command.due_ms))

    def defer(self, command: Command) -> None:
        """It has failed for a time: repeat it at the next look at the workflow."""
        self.deferred_commands += (command,)

    def repeat_unconfirmed(self) -> None:
        """Repeat appends that Redis did not confirm, and commands that failed for a time."""
        entries, self.unconfirmed_entries = self.unconfirmed_entries, EMPTY
        commands, self.deferred_commands = self.deferred_commands, ()
        for name, body in entries.items():
            if isinstance(body, Close):
                self._close(body)
            else:
                self.record(name, body)
        for command in commands:
            self._carry_out(command)

    # ── hooks of the journal ─────────────────────────────────────────────────────────────────────────────────────────

    def _rewritten(self, why: str) -> None:
        self._effects.reload(self, why)

    def _not_owner(self) -> None:
        self._effects.forget(self)

    def _head_missing(self) -> None:
        self._effects.suspect(self)

    def _head_unreadable(self, error: Unreadable) -> None:
        self._context.spawn(self._effects.mend(self, error))

    def _closed(self, close: Close) -> None:
        self._effects.closed(self, close)

    # ── what others see ──────────────────────────────────────────────────────────────────────────────────────────────

    def mirror(self) -> None:
        """Write the state that people see into the head when it has changed."""
        machine = self.machine
        state = machine.state
        if state is self.mirrored[0] and state not in (State.WAITING_FOR_HUMAN, State.BLOCKED):
            return
        note = ""
        if machine.blocked is not None:
            note = machine.blocked.note
        elif state is State.WAITING_FOR_HUMAN:
            note = next((p.question.text for p in machine.pending.values() if p.question is not None), "")
        note = clipped_note(note)
        if (state, note) != self.mirrored and not state.closed:
            if state is State.BLOCKED and self.mirrored[0] is not state:
                self._context.metrics.blocked.child(machine.workflow.name).add()
                if machine.blocked is not None and machine.blocked.unreadable:
                    self._context.link.skips.blocking()
            self.mirrored = (state, note)
            self.write_state(state, self.at, note, machine.blocked)
            if machine.blocked is not None:
                self._effects.blocked(self)

    def show(self) -> None:
        """Its head was made again: write what people see of it once more."""
        self.mirrored = RUNNING
        self.mirror()
        if self.machine.view is not None:
            self.publish(self.machine.view)
        self.listed_questions = ()
        self._effects.relist_questions(self)

    @property
    def at(self) -> str:
        return next(iter(self.machine.pending), "")

    def drop(self) -> None:
        """Release it: another node has it, or it is over. Removes it from all timers and counters."""
        if self.dropped:
            return
        self.dropped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for step in tuple(self.sent):
            self._over(step)
        if self.watched is not None:
            self.watched.cancel()
        self._early.clear()
        self._effects.forget_entries(self)
        self.machine.close()


def _without_clean_up(cancel: Cancel, why: str) -> Close:
    """The end of a canceled run whose code could not clean up, or not in time."""
    end = canceled_close(cancel)
    assert end.failure is not None
    return replace(end, failure=replace(end.failure, message=f"{end.failure.message or 'canceled'}; {why}"))
