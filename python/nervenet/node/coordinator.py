# SPDX-License-Identifier: Apache-2.0
"""The light object that drives exactly one workflow: entries go into its machine, commands come out and are carried out.

It hides order. News of a journal may come early, twice or not at all; the machine gets every entry once, by its dense
number: what comes early waits, a gap is read, a known number is dropped, a known number with another time means that
history was rewritten and the host loads the workflow again.

It holds nothing that the journal cannot rebuild, except where it sent what (`Sent`): a look at Redis can replace that
too, which is what `watch.py` does. Coordinators do no I/O of their own: they ask their host's journal and dispatcher,
and never wait for an answer in the middle of an entry.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

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
)
from nervenet.durable.check import is_due
from nervenet.durable.machine import canceled_close
from nervenet.node.rechecking import difference
from nervenet.records import (
    Attempt,
    Cancel,
    Close,
    Entry,
    Failure,
    FailureCode,
    Outcome,
    Patched,
    Start,
    State,
    TimerFired,
    UnreadableEntry,
)
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.durable import ChildRun
    from nervenet.node.hosting import Host
    from nervenet.node.timers import Place, Timer
    from nervenet.node.tracing import Sending
    from nervenet.records import Body, Mismatch

_log = logging.getLogger(__name__)

Kept: TypeAlias = "tuple[Kept | None, int, str, bytes]"
"""The folded entries as they are stored, the last one first: those before it, its time, name and message."""

ASK_AGAIN = 0.2
"""Seconds after which an agent that was told to stop is asked whether it has."""
LOSS = "loss"
"""Stands among the patches that a coordinator waits for, while it is not known what Redis has lost."""
STEP = "step"
"""Stands there while the code of one entry is run in parts, so that the node's loop is never blocked for long."""
REST = "rest"
"""Stands there while the commands of one entry are carried out in parts."""
CALLBACKS_AT_A_TIME = 500
COMMANDS_AT_A_TIME = 200
CHECK = "check"
"""Stands there while a second machine folds the journal again, in development."""
CLEAN_UP_MS = 30_000
"""A workflow whose time is up may clean up for so long."""


class Sent:
    """One attempt as its owner sees it: what was sent where, and what is known of its claim."""

    __slots__ = (
        "agent_id",
        "claimed_by",
        "dispatch",
        "due_ms",
        "entry_id",
        "lost_ms",
        "over",
        "sent_ms",
        "started_ms",
        "stream",
        "timers",
    )

    def __init__(self, dispatch: Dispatch, now_ms: int) -> None:
        self.dispatch = dispatch
        self.due_ms = max(now_ms, dispatch.at_ms)
        self.sent_ms = now_ms
        self.lost_ms = 0  # when its agent was first seen to be lost
        self.started_ms = 0
        self.stream = b""
        self.entry_id = b""
        self.agent_id = ""
        self.claimed_by = ""
        self.over = False
        self.timers: list[Timer | Place[Any]] = []

    def end(self) -> None:
        self.over = True
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def __repr__(self) -> str:
        return f"<Sent {self.dispatch.step}#{self.dispatch.attempt} to {self.agent_id or self.stream!r}>"


class Coordinator:
    """See the module. Made by the host, fed by it, dropped by it."""

    __slots__ = (
        "_early",
        "_entries",
        "_held",
        "_host",
        "_reading",
        "_timers",
        "_unproven",
        "applied",
        "applied_ms",
        "asked",
        "canceled",
        "created_ms",
        "dropped",
        "errands",
        "kept",
        "labels",
        "machine",
        "mirrored",
        "parent",
        "recovered",
        "req",
        "run",
        "sendings",
        "sent",
        "span_id",
        "timeout_ms",
        "trace",
        "watched",
        "wishes",
        "workflow_id",
    )

    def __init__(self, host: Host, machine: Machine, start: Start) -> None:
        self._host = host
        self.machine = machine
        self.workflow_id, self.run = machine.workflow_id, machine.run
        self.trace = start.trace
        self.span_id = start.span_id  # b"": not traced
        self.sendings: dict[tuple[str, int], Sending] | None = {} if start.span_id else None
        self.labels = dict(start.labels)
        self.timeout_ms = start.timeout_ms
        self.applied = 0  # in a later run: n goes on from the run before
        self.applied_ms = 0
        self.created_ms = 0
        self.kept: Kept | None = None
        self.req = b""  # of a run behind the first, whose start does not tell it
        self.canceled: Cancel | None = None  # also where the code is blocked and cannot be told
        self.asked: tuple[tuple[str, int], ...] = ()  # its questions that stand in the list of open escalations
        self.sent: dict[str, Sent] = {}
        self.dropped = False
        self.recovered = False
        self.watched: Place[Coordinator] | None = None
        self.wishes: dict[str, Body] = {}
        self.errands: list[Command] = []
        self.parent = start.parent
        self._timers: dict[int, Timer] = {}
        self._early: dict[int, tuple[int, str, bytes]] = {}
        self._entries: list[Entry] | None = None if host.elsewhere is None else []
        self._reading = False
        self._unproven: frozenset[str] = frozenset()
        self._held: list[Command] = []
        self.mirrored: tuple[State, str] = (State.RUNNING, "")

    def __repr__(self) -> str:
        return f"<Coordinator {self.workflow_id} {self.machine.state} {self.applied} entries, {len(self.sent)} sent>"

    # ── entries in ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, n: int, ms: int, name: str, data: bytes) -> None:
        """One stored entry, from a wake, a page or an answer; in any order."""
        if self.dropped or self._unproven:  # what comes meanwhile is read again when the patch is in
            return
        if n == self.applied + 1:
            self._apply(decode_entry(name, data, n, ms), data)
            if self._early:
                self._feed_early()
        elif n > self.applied:
            self._early[n] = (ms, name, data)
            self.catch_up()
        elif n == self.applied and ms != self.applied_ms:
            self._host.reload(self, f"entry {n} was rewritten")

    def feed_own(self, entry: Entry, data: bytes) -> None:
        """An entry that this node appended itself, in the form it was made from, and as it is stored."""
        if self.dropped or self._unproven:
            return
        if entry.n == self.applied + 1:
            self._apply(entry, data)
            if self._early:
                self._feed_early()
        elif entry.n > self.applied:
            self.catch_up()

    def _feed_early(self) -> None:
        while self._early and not self._unproven and (late := self._early.pop(self.applied + 1, None)) is not None:
            self._apply(decode_entry(late[1], late[2], self.applied + 1, late[0]), late[2])

    def catch_up(self) -> None:
        """Something is missing: read the journal from the last applied entry on, once at a time."""
        if not self._reading and not self.dropped and not self._unproven:
            self._reading = True
            self._host.spawn(self._read())

    async def _read(self) -> None:
        try:
            while not self.dropped and not self._unproven:
                applied = self.applied
                page = await self._host.journal.read(self.workflow_id, self.last_id)
                if page and page[0].n <= applied:
                    self._host.reload(self, f"entry {page[0].n} was rewritten")
                    return
                for raw in page:
                    if raw.n > self.applied:
                        self.feed(raw.n, raw.ms, raw.name, raw.data)
                if len(page) < 2:
                    return
        finally:
            self._reading = False

    @property
    def last_id(self) -> str:
        """The id of the last applied entry; reading goes on behind it."""
        return f"{self.applied_ms}-{self.applied}"

    def replay(self, entry: Entry, data: bytes) -> None:
        """Fold an entry of the past: its commands were carried out by somebody, or will be outstanding."""
        self._at(entry, data)
        if self._entries is not None:
            self._entries.append(entry)
        self._host.watchdog.enter(self.machine)
        self.machine.apply(entry, replaying=True, most=CALLBACKS_AT_A_TIME)
        self._host.watchdog.leave()

    def replay_on(self) -> bool:
        """Whether more of the entry had to be run, which is too much to be done at once: call it again."""
        if not self.machine.unfinished:
            return False
        self._host.watchdog.enter(self.machine)
        self.machine.go_on(CALLBACKS_AT_A_TIME)
        self._host.watchdog.leave()
        return True

    def resume(self, skip: Callable[[Dispatch], bool]) -> None:
        """After a replay: carry out what is outstanding, but for dispatches whose attempt somebody holds."""
        self.recovered = True
        self._arm_timeout()
        wanted: list[Command] = []
        for command in self.machine.outstanding():
            if isinstance(command, Dispatch) and skip(command):
                self.sent[command.step] = self._watch_dispatch(command)
            else:
                wanted.append(command)
        self._carry_out_all(wanted)
        self._host.escalations.relist(self)
        self.mirror()
        self._end_blocked()

    def _at(self, entry: Entry, data: bytes) -> None:
        self.applied, self.applied_ms = entry.n, entry.time_ms
        self.kept = (self.kept, entry.time_ms, entry.name, data)
        self._host.restore.weigh(len(data))
        if entry.name == "start":
            self.created_ms = entry.time_ms
        elif entry.name == "cancel" and isinstance(entry.body, Cancel):
            self.canceled = entry.body

    def questions(self) -> list[tuple[str, int]]:
        """Step and k of every question that this run's journal knows, decided or not."""
        found, kept = [], self.kept
        while kept is not None:
            kept, _, name, _ = kept
            if name.startswith("escalated:"):
                step, _, k = name[10:].rpartition("#")
                if k.isdigit():  # the entry may be one that cannot be read
                    found.append((step, int(k)))
        return found

    def _arm_timeout(self) -> None:
        """The workflow's own time: first a cancel, then, when clean-up takes too long, the end."""
        timers, cancel = self._host.timers, self.machine.cancel
        if cancel is None and self.timeout_ms is not None:
            self._timers[0] = timers.at(self.created_ms + self.timeout_ms, self._time_is_up)
        elif cancel is not None and cancel.forced:
            self._timers[0] = timers.at(self._host.clock.now_ms() + CLEAN_UP_MS, self._clean_up_is_over)

    def _time_is_up(self) -> None:
        self.record("cancel", Cancel(f"it took longer than {self.timeout_ms} ms", self._host.node_id, timeout=True))

    def _clean_up_is_over(self) -> None:
        assert self.machine.cancel is not None
        end = canceled_close(self.machine.cancel)
        assert end.failure is not None
        words = f"{end.failure.message}; its clean-up took more than {CLEAN_UP_MS // 1000} s"
        self._close(replace(end, failure=replace(end.failure, message=words)))

    def _apply(self, entry: Entry, data: bytes) -> None:  # for every entry: what is a call here costs
        self._at(entry, data)
        name = entry.name
        if type(entry.body) is UnreadableEntry:
            pass  # its name says nothing for sure
        elif name.startswith("task:"):
            self._over(name[5:])
            if isinstance(body := entry.body, Outcome) and body.agent_id and body.failure is None:
                self._host.outliers.succeeded(body.agent_id, body.capability, entry.time_ms)
            self._host.escalations.step_over(self, name[5:])
        elif name.startswith("attempt:"):
            step, _, n = name[8:].rpartition("#")
            if (sent := self.sent.get(step)) is not None and str(sent.dispatch.attempt) == n:
                self._over(step)
            if isinstance(body := entry.body, Attempt) and body.agent_id and body.failure is not None:
                self._host.outliers.failed(body.agent_id, body.capability, body.failure, entry.time_ms)
        elif name.startswith("decided:"):
            self._host.escalations.decided(self, name[8:])
        elif name.startswith("escalated:"):
            self._host.escalations.asked(self, entry)
        self._host.watchdog.enter(self.machine)
        commands = self.machine.apply(entry, most=CALLBACKS_AT_A_TIME)
        self._host.watchdog.leave()
        if self.machine.unfinished:
            self._unproven |= {STEP}
            asyncio.get_running_loop().call_soon(self._go_on, entry)
        else:
            self._applied(entry, commands)

    def _go_on(self, entry: Entry) -> None:
        """The next part of an entry that is too much to be run at once; what arrives meanwhile is read again behind it."""
        if self.dropped:
            return
        self._host.watchdog.enter(self.machine)
        commands = self.machine.go_on(CALLBACKS_AT_A_TIME)
        self._host.watchdog.leave()
        if self.machine.unfinished:
            asyncio.get_running_loop().call_soon(self._go_on, entry)
            return
        self._unproven -= {STEP}
        self._applied(entry, commands)
        if not self.dropped:
            self.catch_up()

    def _applied(self, entry: Entry, commands: list[Command]) -> None:
        """The code is idle again: do what it wants."""
        if isinstance(entry.body, Close) and entry.body.state is not State.UNRECOGNIZED:  # else it is blocked by it
            self._host.closed(self, entry.body)
            return
        if isinstance(entry.body, (Start, Cancel)):
            self._arm_timeout()
        if self._entries is not None and self._must_prove(self._entries, entry, commands):
            self._held += commands
            commands = []
        if self.applied >= self._host.admission.long:
            self._weigh()
        self._carry_out_all(commands)
        self.mirror()
        if self.canceled is not None:
            self._end_blocked()

    def block(self, why: Mismatch) -> None:
        """Stop here, for a reason outside of the machine."""
        self.machine.blocked = why
        self.machine.close()
        self.mirror()

    def _end_blocked(self) -> None:
        """A run that is blocked and canceled ends: its code cannot clean up, and nobody will mend it."""
        blocked, cancel = self.machine.blocked, self.canceled
        if blocked is None or cancel is None or self.dropped:
            return
        end = canceled_close(cancel)
        assert end.failure is not None
        words = f"{end.failure.message or 'canceled'}; it was BLOCKED ({blocked.note}), so its code did not clean up"
        self._close(replace(end, failure=replace(end.failure, message=words)))

    def _weigh(self) -> None:
        if self.machine.cancel is None and (why := self._host.admission.weigh(self)) is not None:
            self.record("cancel", Cancel(why, self._host.node_id, journal_full=True))

    def _must_prove(self, entries: list[Entry], entry: Entry, commands: list[Command]) -> bool:
        """The replay check of `nervenet dev`: a second machine must want the same, or a crash would block the run.

        What this entry brings waits for the answer, and so does what comes meanwhile.
        """
        entries.append(entry)
        ends = any(isinstance(command, (CloseRun, ContinueRun)) for command in commands)
        if self.machine.blocked is not None or not is_due(len(entries), ends=ends):
            return False
        self._unproven |= {CHECK}
        self._host.spawn(self._prove(entries))
        return True

    async def _prove(self, entries: list[Entry]) -> None:
        machine, host = self.machine, self._host
        assert host.elsewhere is not None
        try:
            found = await difference(machine, entries, host.elsewhere, host.watchdog)
            if found is not None and not self.dropped:
                self._held.clear()
                machine.blocked = found
                machine.close()
                self.mirror()
        finally:
            self.acknowledged(CHECK)

    def _over(self, step: str) -> None:
        sent = self.sent.pop(step, None)
        if sent is not None:
            sent.end()
            if sent.agent_id:
                self._host.dispatcher.over(sent)

    # ── commands out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _carry_out_all(self, commands: list[Command]) -> None:
        """In order; but behind a patch nothing goes on, neither command nor entry, until the journal has it.

        Many commands are carried out in parts: between two of them the node's loop does other things, this workflow nothing.
        """
        rest = commands[COMMANDS_AT_A_TIME:]
        for command in commands[:COMMANDS_AT_A_TIME] if rest else commands:
            if isinstance(command, RecordPatch):
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
        """A patch is in the journal, or a part is done: when it was the last, go on with what waited, and read what came."""
        self._unproven -= {name}
        if not self._unproven and not self.dropped:
            held, self._held = self._held, []
            self._carry_out_all(held)
            self.catch_up()

    def doubt(self) -> None:
        """Redis may have lost what this machine has folded: take no news until it was written back."""
        self._unproven |= {LOSS}

    def trust(self) -> None:
        """The journal holds what this machine has folded."""
        self.acknowledged(LOSS)

    @property
    def in_doubt(self) -> bool:
        return LOSS in self._unproven

    def _carry_out(self, command: Command) -> None:
        match command:
            case Dispatch():
                self._dispatch(command)
            case CloseRun():
                self._close(command.close)
            case ContinueRun():
                self._host.spawn(self._host.renewal.continue_run(self, command))
            case StartTimer():
                self._timers[command.k] = self._host.timers.at(command.due_ms, self._fire, command)
            case StopTimer():
                self._stop_timer(command)
            case Withdraw():
                self._withdraw(command)
            case FailStep():
                self._over(command.step)
                self.record(f"task:{command.step}", command.outcome)
            case EscalateStep():
                self._host.escalations.ask(self, command)
            case Expire():
                self._host.escalations.expire_at(self, command)
            case Publish():
                self._host.publish(self, command.view)
            case StartChild() | CancelChild() | SendSignal():
                self._host.spawn(self._host.children.carry_out(self, command))

    def _close(self, close: Close) -> None:
        if self.machine.children and self.orphans:
            self._host.spawn(self._host.children.cancel_all(self, close))
        else:
            self._host.close_run(self, close)

    @property
    def busy(self) -> bool:
        """Whether others work for it, who may die of it unseen; or it is blocked, and hears nothing by which it would notice
        that another node has it."""
        waits = self.sent or self.machine.children or self.errands or self.wishes
        return bool(waits) or self.machine.blocked is not None

    @property
    def orphans(self) -> list[ChildRun]:
        """Children that have to end when this run does."""
        return [child for child in self.machine.children.values() if not child.options.abandon_children]

    def _dispatch(self, command: Dispatch) -> None:
        self._over(command.step)
        sent = self.sent[command.step] = self._watch_dispatch(command)
        if command.at_ms > sent.sent_ms:
            sent.timers.append(self._host.timers.at(command.at_ms, self._send, sent))
        else:
            self._send(sent)

    def _watch_dispatch(self, command: Dispatch) -> Sent:
        sent = Sent(command, self._host.clock.now_ms())
        if command.total_due_ms is not None:
            sent.timers.append(self._host.timers.at(command.total_due_ms, self._ran_out, sent, "all its attempts"))
        if command.options.queue_ms is not None:
            due = max(sent.sent_ms, command.at_ms) + command.options.queue_ms
            sent.timers.append(self._host.timers.at(due, self._host.watch.queue_timeout, self, sent))
        return sent

    def _send(self, sent: Sent) -> None:
        if not sent.over and not self.dropped:
            self._host.dispatcher.send(self, sent)

    def _ran_out(self, sent: Sent, of_what: str) -> None:
        if not sent.over:
            self.give_up_attempt(sent, FailureCode.TIMEOUT, f"the time for {of_what} is over", retryable=False)

    def give_up_attempt(
        self,
        sent: Sent,
        code: FailureCode,
        message: str,
        *,
        agent_id: str = "",
        retryable: bool | None = None,
        blame_percent: int | None = None,
    ) -> None:
        """Append the attempt's failure in the owner's name; the fold decides how the step goes on."""
        d = sent.dispatch
        failure = Failure(
            code, message, type=code.title().replace("_", ""), retryable=retryable, attempt=d.attempt, agent_id=agent_id
        )
        body = Attempt(
            failure,
            None,
            d.capability,
            d.digest,
            agent_id,
            sent.started_ms,
            self._host.clock.now_ms(),
            blame_percent=blame_percent,
        )
        self.record(f"attempt:{d.step}#{d.attempt}", body)
        if agent_id:
            self._host.dispatcher.tell_to_stop(self, d.step, agent_id, d.attempt, message)

    def _withdraw(self, command: Withdraw) -> None:
        sent = self.sent.get(command.step)
        failure = Failure(FailureCode.CANCELED, "the workflow gave it up", "Canceled", attempt=command.attempt)
        capability, digest = ("", b"") if sent is None else (sent.dispatch.capability, sent.dispatch.digest)
        outcome = Outcome(None, failure, capability, digest, command.attempt)
        self._over(command.step)
        self._host.spawn(self._withdrawn(command, sent, outcome))

    async def _withdrawn(self, command: Withdraw, sent: Sent | None, outcome: Outcome) -> None:
        holder = ""
        if sent is not None or command.wait:
            holder = await self._host.watch.holder(self, command.step)
        if holder and command.wait:
            await self._stopped(command, holder, outcome)
        await self._host.append(self, f"task:{command.step}", outcome)
        if holder and not command.wait:
            self._host.dispatcher.tell_to_stop(self, command.step, holder, command.attempt, "canceled")

    async def _stopped(self, command: Withdraw, holder: str, outcome: Outcome) -> None:
        """Until the agent says that it runs there no more; one that can't be told learns it from its claim."""
        step, attempt, host = command.step, command.attempt, self._host
        while not self.dropped:
            found = await host.dispatcher.stop(self, step, holder, attempt, "canceled")
            if found is None:
                failed = Attempt(outcome.failure, None, outcome.capability, outcome.digest)
                await host.append(self, f"attempt:{step}#{attempt}", failed)
            if found is False or not await host.watch.claimed(self, step, attempt):
                return
            await asyncio.sleep(ASK_AGAIN)

    def _stop_timer(self, command: StopTimer) -> None:
        if (timer := self._timers.pop(command.k, None)) is not None:
            timer.cancel()

    def _fire(self, command: StartTimer) -> None:
        self._timers.pop(command.k, None)
        self.record(f"timer:{command.k}", TimerFired(command.due_ms))

    def record(self, name: str, body: Body) -> None:
        """Append an owner's entry, and fold it when it is in."""
        self._host.spawn(self._host.append(self, name, body))

    def repeat_wishes(self) -> None:
        """Owner's entries that Redis did not take when they were due."""
        wishes, self.wishes = self.wishes, {}
        errands, self.errands = self.errands, []
        for name, body in wishes.items():
            if isinstance(body, Close):
                self._close(body)
            else:
                self.record(name, body)
        for command in errands:
            self._carry_out(command)

    # ── what others see ──────────────────────────────────────────────────────────────────────────────────────────────

    def mirror(self) -> None:
        """Tell the head when the state that people see has changed; running on is not worth a command."""
        machine = self.machine
        state = machine.state
        if state is self.mirrored[0] and state not in (State.WAITING_FOR_HUMAN, State.BLOCKED):
            return
        note = ""
        if machine.blocked is not None:
            note = machine.blocked.note
        elif state is State.WAITING_FOR_HUMAN:
            note = next((p.question.text for p in machine.pending.values() if p.question is not None), "")
        if (state, note) != self.mirrored and not state.closed:
            self.mirrored = (state, note)
            self._host.mirror(self, state, self.at, note[:60])

    def show(self) -> None:
        """Its head was made again: whatever people see of it is set once more."""
        self.mirrored = (State.RUNNING, "")
        self.mirror()
        if self.machine.view is not None:
            self._host.publish(self, self.machine.view)
        self.asked = ()
        self._host.escalations.relist(self)

    @property
    def at(self) -> str:
        return next(iter(self.machine.pending), "")

    def drop(self) -> None:
        """Let go: another node has it, or it is over. Nothing of it is left in timers or counters."""
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
        self._host.restore.let_go(self)
        self.machine.close()
