# SPDX-License-Identifier: Apache-2.0
"""One workflow as a pure function of its journal: entries in, commands out.

    machine = Machine(review, "review-118")
    commands = machine.apply(start_entry)            # live: the new commands of this entry

    machine.foresee(journal)                         # after a crash
    for entry in journal:
        machine.apply(entry, replaying=True)
    commands = machine.outstanding()                 # all open commands

`apply` takes one entry, runs the user's code until it is idle, and returns. It has no clock, no socket and no random
numbers: its result depends on the entries alone, so any node can adopt any workflow by folding its journal again.

An error in here makes the run BLOCKED with a diff. It never becomes an exception of `apply` or a failed workflow: the
run waits for code that matches its journal. The only exception is KeyboardInterrupt, which is the user's.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, NamedTuple

from nervenet.codecs import PLAIN, CodecError, Codecs, hidden
from nervenet.definitions import Workflow
from nervenet.durable.children import ChildRun, OutgoingSignal
from nervenet.durable.commands import CloseRun, Command, ContinueRun, Publish, RecordPatch, Withdraw
from nervenet.durable.context import Context, ContinueAsNewRequested
from nervenet.durable.failures import failure_of, stack_of, step_of
from nervenet.durable.fold import Fold
from nervenet.durable.lines import is_debugged, is_importing, line_of_coroutine, line_of_traceback
from nervenet.durable.loop import CALLBACK_LIMIT, DurableLoop, DurableTimer, Runaway, overrun_line
from nervenet.durable.pending import Contradiction, Pending
from nervenet.durable.programming_errors import programming_error
from nervenet.durable.remedies import not_durable_message
from nervenet.errors import NotDurable, detail
from nervenet.payloads import InvalidPayload, PayloadTooLarge, check_size
from nervenet.records import (
    Cancel,
    Close,
    Entry,
    Failure,
    FailureCode,
    Mismatch,
    Outcome,
    Payload,
    Start,
    State,
    UnreadableEntry,
)

_INTERRUPTING = threading.Lock()
MOST_WORDS = 500
"""Characters of a programming error's message that are kept. `repr` of a user's object may be very long."""
MOST_FRAMES = 4_000
"""Characters of its frames that are kept, the innermost ones."""


class Interrupted(BaseException):
    """Raised inside workflow code that does not stop. It is no Exception, so that user code rarely catches it."""


_HELD = (
    "Workflow code runs between two entries, for microseconds, in the thread that it shares with all others of its node: "
    "let it wait (await), and do what computes or blocks in an agent: await ctx.call(…)."
)


class SignalsOfName(NamedTuple):
    """Signals of one name that are unread, or waits for them: their number, and since when the oldest."""

    signal: str
    number: int
    since_ms: int


class Machine:
    """The decisions of one workflow, for its coordinator. Not thread-safe, except `interrupt`."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_ending",
        "_fold",
        "_interrupted",
        "_log",
        "_main",
        "_replaying",
        "_thread",
        "blocked",
        "codecs",
        "error",
        "failed_at",
        "next",
        "payload_limit",
        "result",
        "unfinished",
        "view",
        "workflow",
        "workflow_id",
    )

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        workflow_id: str,
        run: int = 1,
        *,
        log: Callable[[int, str], None] | None = None,
        payload_limit: int = 1 << 20,
        codecs: Codecs = PLAIN,
    ) -> None:
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.payload_limit = payload_limit
        self.codecs = codecs
        self.blocked: Mismatch | None = None
        self.error: BaseException | None = None  # the programming error that has blocked it, until it is dropped
        self.result: Close | None = None
        self.failed_at = ""
        self.next: ContinueRun | None = None
        self.view: Payload | None = None
        self.unfinished = False
        self._fold = Fold(workflow_id, run, self._report, codecs)
        self._log = log
        self._main: asyncio.Task[Any] | None = None
        self._closed: Close | None = None
        self._ending: Close | None = None  # how the journal ends that is being replayed
        self._replaying = False
        self._thread = 0
        self._interrupted: str | None = None

    def __repr__(self) -> str:
        return (
            f"<Machine {self.workflow_id}~{self.run} {self.state} {self.entries} entries, {len(self.pending)} pending>"
        )

    @property
    def run(self) -> int:
        return self._fold.run

    @property
    def entries(self) -> int:
        """The number of entries applied so far."""
        return self._fold.entries

    @property
    def pending(self) -> Mapping[str, Pending]:
        """The steps that the code waits for, in the order it asked for them."""
        return MappingProxyType(self._fold.pending)

    def pending_step(self, step: str) -> Pending | None:
        """A step that the code waits for; None: it does not."""
        return self._fold.pending.get(step)

    @property
    def children(self) -> Mapping[str, ChildRun]:
        """The children that have not ended, by step."""
        return MappingProxyType(self._fold.children)

    @property
    def sendings(self) -> Mapping[str, OutgoingSignal]:
        """The signals to other workflows that are not delivered yet, by step."""
        return MappingProxyType(self._fold.sendings)

    @property
    def timers(self) -> Mapping[int, DurableTimer]:
        """The timers that are not due yet, by number."""
        return MappingProxyType(self._fold.timers)

    def awaited_signals(self) -> list[SignalsOfName]:
        """The signals that the code waits for."""
        receivers = self._fold.receivers.items()
        return [SignalsOfName(name, len(all_), all_[0].since_ms) for name, all_ in receivers if all_]

    def unread_signals(self) -> list[SignalsOfName]:
        """The signals that came in and that the code has not received."""
        return [SignalsOfName(name, len(all_), all_[0][1]) for name, all_ in self._fold.unread.items() if all_]

    @property
    def cancel(self) -> Cancel | None:
        """The `cancel` entry, once there is one."""
        return self._fold.canceled

    @property
    def state(self) -> State:
        if self._closed is not None:
            return self._closed.state
        if self.blocked is not None:
            return State.BLOCKED
        if self.result is not None:
            return State.RUNNING
        if self._fold.canceled is not None:
            return State.CANCELING
        return State.WAITING_FOR_HUMAN if self._fold.waits_for_human() else State.RUNNING

    def foresee(self, entries: Sequence[Entry]) -> None:
        """Read the entries that a replay will apply: `ctx.patched` needs them in advance."""
        self._fold.foresee(entries)
        if entries and isinstance(last := entries[-1].body, Close):
            self._ending = last

    def apply(self, entry: Entry, *, replaying: bool = False, most: int = CALLBACK_LIMIT) -> list[Command]:
        """Fold one entry, run the code to idle, return the commands that are new ([] when replaying or over).

        After `most` callbacks it pauses: then `unfinished` is true, and `go_on` is called until it is not. Nothing else
        may be applied in between. Where it pauses decides nothing: the callbacks run in the same order.
        """
        if self.blocked is not None or self._closed is not None:
            return []
        self._replaying = replaying
        return self._step(entry, most)

    def go_on(self, most: int = CALLBACK_LIMIT) -> list[Command]:
        """Continue the entry whose `apply` has paused. Returns the commands of the whole entry when it is finished."""
        return self._step(None, most) if self.unfinished else []

    def _step(self, entry: Entry | None, most: int) -> list[Command]:
        fold = self._fold
        try:
            self._thread = threading.get_ident()
            try:
                if entry is not None:
                    fold.begin(entry)
                    self._take(entry)
                main = self._main
                if main is not None:
                    self.unfinished = not fold.loop.run(most, again=entry is None)
                    if self._interrupted is not None:
                        raise Interrupted
                    if main.done():
                        self._finish(main)
            finally:
                self._leave()
        except Contradiction as found:
            self._contradicted(found)
        except CodecError as error:
            self._undecodable(error)
        except Runaway as endless:
            self._block("an idle workflow", f"more than {CALLBACK_LIMIT:,} callbacks without waiting", str(endless))
        except (Exception, Interrupted) as error:  # noqa: BLE001  # no error of a workflow may end the node
            self._broke(error)
        if self.unfinished:
            return []
        commands, fold.commands = fold.commands, []
        if fold.given_up:
            commands = fold.still_wanted(commands)
        return [] if self._replaying or self.blocked is not None else commands

    def outstanding(self) -> list[Command]:
        """All open commands; a node carries them out after a replay."""
        if self.blocked is not None or self._closed is not None:
            return []
        commands = list(self._fold.outstanding())
        if self.result is not None or self.next is not None:
            commands = [command for command in commands if isinstance(command, (RecordPatch, Withdraw))]
        if self.view is not None:
            commands.append(Publish(self.view))
        if self.result is not None:
            commands.append(CloseRun(self.result))
        if self.next is not None:
            commands.append(self.next)
        return commands

    def waits(self) -> str:
        """The steps that the code waits for, as text, with the line number: `task:extract (review.py:27)`."""
        asks, site = self._fold.asks()
        line = str(site) if site is not None else self._standing()
        return (asks or "nothing that is durable") + (f" ({line})" if line else "")

    def close(self) -> None:
        """Drop the code without warnings. The user's `finally` blocks run; their calls have no effect."""
        self.unfinished = False
        self.error = None
        if self._main is None:
            return
        self._main = None
        self._fold.timers.clear()  # so that a `finally` which stops its timer finds nothing to stop
        self._fold.loop.close_tasks()
        self._fold.forget()

    def __del__(self) -> None:
        self.close()  # drop a forgotten machine without warnings too

    def interrupt(self) -> bool:
        """Interrupt an `apply` that takes too long, from another thread (a watchdog). False: none runs, a debugger has
        stopped it, or nervenet itself imports a library.

        The run becomes BLOCKED with the line that it executed. Code that waits inside C (`time.sleep`) is interrupted
        when that returns: call this again until it returns False.
        """
        with _INTERRUPTING:
            thread = self._thread
            if not thread:
                return False
            if self._interrupted is None:
                frame = sys._current_frames().get(thread)
                if is_debugged(frame) or is_importing(frame):
                    return False
                self._interrupted = overrun_line(frame)
            self._fold.loop.stop_now = True
            _raise_in(thread, Interrupted)
            return True

    # ── one entry ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, entry: Entry) -> None:
        body = entry.body
        if self._main is not None and type(body) is Outcome:  # nearly all of them
            self._fold.take(entry)
        elif isinstance(body, Start):
            self._start(entry, body)
        elif self._main is None and self.result is None and self.next is None:
            raise Contradiction(entry.name, "start")
        elif isinstance(body, Cancel):
            self._cancel(body)
        elif isinstance(body, Close):
            self._close(entry, body)
        elif type(body) is UnreadableEntry:
            self.blocked = unreadable(entry, body, self.entries - 1)
            self.close()
        else:
            self._fold.take(entry)

    def _start(self, entry: Entry, body: Start) -> None:
        workflow, fold = self.workflow, self._fold
        if fold.entries > 1:
            raise Contradiction(entry.name)
        theirs = f"{body.definition} v{body.version} on {_platform(body.runtime)}"
        ours = f"{workflow.name} v{workflow.version} on {_platform(workflow.runtime)}"
        if theirs != ours:
            raise Contradiction(f"start of {theirs}", ours)
        fold.seed, fold.labels, fold.trace = body.seed, body.labels, body.trace
        fold.loop = loop = DurableLoop(fold, workflow.name)
        assert workflow.fn is not None
        sent = self.codecs.decode(body.input)
        try:
            given = (workflow.input.decode(sent, workflow.parameter),) if workflow.takes_input else ()
        except InvalidPayload as error:
            self._finished(Close(State.FAILED, failure=failure_of(error)))
            return
        code = workflow.fn(Context(self), *given)
        self._main = main = loop.create_task(code, name=workflow.name, context=contextvars.Context())
        main.add_done_callback(loop.halt)

    def _cancel(self, body: Cancel) -> None:
        if self._fold.canceled is not None:
            return
        self._fold.canceled = body
        if self._main is not None:
            self._main.cancel()

    def _close(self, entry: Entry, body: Close) -> None:
        """The run is closed. If its code still waits, only its node can have closed it: its time for clean-up was
        over."""
        canceled = self._fold.canceled
        cut_off = body.state is State.TIMED_OUT or (canceled is not None and canceled.forced)
        if not cut_off and not self._same_end(self.result, body):
            ours = f"close {self.result.state}" if self.result is not None else None
            raise Contradiction(f"close {body.state}", ours)
        self._closed = self.result = body
        self.close()

    # ── the end of the code ──────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, main: asyncio.Task[Any]) -> None:
        canceled = self._fold.canceled
        if main.cancelled():
            if canceled is None:
                failure = Failure(FailureCode.CANCELED, "the workflow's code cancelled itself", "CancelledError")
                self._finished(Close(State.FAILED, failure=failure))
                return
            self._finished(canceled_close(canceled))
            return
        error = main.exception()
        if isinstance(error, ContinueAsNewRequested):
            unread = sorted((ms, n) for waiting in self._fold.unread.values() for _, ms, n in waiting)
            self.next = error.run._replace(
                folded=f"{self._fold.now_ms}-{self._fold.n}", unread=tuple(f"{ms}-{n}" for ms, n in unread)
            )
            self._ended(self.next)
            return
        if error is None:
            try:
                self._finished(Close(State.SUCCEEDED, self._output(main.result())))
                return
            except (InvalidPayload, PayloadTooLarge) as unfit:
                error = unfit
        self._failed(error)

    def _output(self, value: object) -> Payload:
        output = self.codecs.encode(self.workflow.output.encode(value))
        check_size(output, self.payload_limit, f"{self.workflow.name}: output")
        return output

    def _failed(self, error: BaseException) -> None:
        error = self._translated(error)
        close = Close(State.FAILED, failure=failure_of(error))
        if (wrong := self._blocking(error, close)) is not None:
            where = line_of_traceback(wrong.__traceback__) or line_of_traceback(error.__traceback__)
            words, frames = detail(wrong)[:MOST_WORDS], (stack_of(wrong) or stack_of(error))[-MOST_FRAMES:]
            if self.codecs.hides:  # the message may hold a value; the frames are source code
                secret = self.codecs.encode_text(words)
                words, frames = f"{type(wrong).__name__}: {hidden(secret)}", f"{frames}{secret}\n"
            self._block("", "", where, frames, error=words)
            self.error = error
            return
        self.failed_at = step_of(error)
        self._finished(close)

    def _blocking(self, error: BaseException, close: Close) -> BaseException | None:
        """The programming error for which the run waits for other code. None: it fails, with this `close`.

        After a cancel it fails: somebody waits for its end. And it fails if its journal says that it did, because
        `on_error` was "fail" then, or a release without it wrote the journal.
        """
        if self.workflow.on_error == "fail" or self._fold.canceled is not None or self._same_end(close, self._ending):
            return None
        return programming_error(error)

    def _translated(self, error: BaseException) -> BaseException:
        """An error of asyncio for a call that cannot be durable, as NotDurable."""
        if not isinstance(error, RuntimeError):
            return error
        words = str(error)
        if "running event loop" in words or "another loop is running" in words or "loop is already running" in words:
            call, cure = "A nested event loop (asyncio.run)", "Await the coroutine instead."
        elif "attached to a different loop" in words or "different event loop" in words:
            call = "Awaiting a future of another loop"
            cure = "Make it an agent, or declare a Signal and wait for it: await ctx.receive(signal)"
        else:
            return error
        where = line_of_traceback(error.__traceback__)
        found = NotDurable(not_durable_message(call, self.workflow.name, f" ({where})" if where else "", cure))
        found.__cause__ = error
        return found.with_traceback(error.__traceback__)

    def _same_end(self, ours: Close | None, theirs: Close | None) -> bool:
        if ours is None or theirs is None or ours.state is not theirs.state:
            return False
        values = [None if one.output is None else self.codecs.decode(one.output) for one in (ours, theirs)]
        return _same_value(*values) and _kind(ours.failure) == _kind(theirs.failure)

    def _finished(self, close: Close) -> None:
        if close.failure is not None:
            close = replace(close, failure=self.codecs.encode_failure(close.failure))
        self.result = close
        self._ended(CloseRun(close))

    def _ended(self, last: Command) -> None:
        fold = self._fold
        kept = [command for command in fold.commands if isinstance(command, (RecordPatch, Withdraw, Publish))]
        self.close()
        fold.commands = [*kept, last]

    # ── blocked ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _contradicted(self, found: Contradiction) -> None:
        asks, site = self._fold.asks()
        if self.result is not None:
            asks = f"close {self.result.state}"
        where = found.site or site
        self._block(found.expected, found.found or asks or "nothing", str(where) if where else self._standing())

    def _undecodable(self, error: CodecError) -> None:
        words = (
            f"a value in its journal cannot be decoded: {error}. Nothing is lost. Set that for the node, then run: "
            f"nervenet retry {self.workflow_id}"
        )
        self._block("", "", "", words)

    def _standing(self) -> str:
        return "" if self._main is None else line_of_coroutine(self._main.get_coro())

    def _broke(self, error: BaseException) -> None:
        if self._interrupted is not None:
            self._block("an idle workflow", "code that did not stop and was interrupted", self._interrupted, _HELD)
        else:
            words, hide = "".join(traceback.format_exception(error)), self.codecs.encode_text
            found = f"{type(error).__name__}: {hide(str(error))}"
            self._block("a fold", found, line_of_traceback(error.__traceback__), hide(words))

    def _block(self, expected: str, found: str, where: str, detail: str = "", *, error: str = "") -> None:
        self.blocked = Mismatch(expected, found, where, max(0, self.entries - 1), detail, error=error)
        self.close()

    def _leave(self) -> None:
        with _INTERRUPTING:
            thread, self._thread = self._thread, 0
            if self._interrupted is not None:
                _raise_in(thread, None)  # cancel an interrupt that has not happened yet

    # ── called by the context and the loop ───────────────────────────────────────────────────────────────────────────

    def show(self, view: Payload) -> None:
        """The code has published a view. Of several in one entry the last one counts."""
        if self._main is None:
            return
        self.view = view
        fold = self._fold
        fold.commands = [command for command in fold.commands if not isinstance(command, Publish)]
        fold.commands.append(Publish(view))

    def _report(self, message: str) -> None:
        self.say(logging.WARNING, message)

    def say(self, level: int, message: str) -> None:
        """Log for the workflow, unless it was logged before the crash."""
        if self._replaying or self._main is None:
            return
        if self._log is not None:
            self._log(level, message)
        else:
            known = {"workflow_id": self.workflow_id, "run": self.run, "trace_id": self._fold.trace.traceparent[3:35]}
            extra = {name: value for name, value in known.items() if value}
            logger = logging.getLogger(f"nervenet.workflow.{self.workflow.name}")
            logger.log(level, "%s: %s", self.workflow_id, message, extra=extra)


def _platform(runtime: str) -> str:
    return f"Python {runtime}" if runtime[:1].isdigit() else runtime


def unreadable(entry: Entry, body: UnreadableEntry, agreed: int) -> Mismatch:
    """The diff of a run that is blocked by an entry that this release cannot read."""
    release, what = (
        f"nervenet {version('nervenet')}",
        f"entry {entry.n} {entry.name or 'without a name'} cannot be read",
    )
    if body.newer:
        words = (
            f"{what} by {release} ({body.why}): a newer version wrote it. A node of that version continues the workflow: "
            "start one, or upgrade."
        )
    else:
        words = (
            f"its journal is damaged: {what}. Nothing else is affected. Cancel the workflow, or start it again under another id. "
            f"({release}: {body.why})"
        )
    return Mismatch("", "", agreed=agreed, detail=words, unreadable=True)


def canceled_close(canceled: Cancel) -> Close:
    """The end of a run that was canceled and has no other result."""
    if canceled.timeout:
        state, code, kind = State.TIMED_OUT, FailureCode.TIMEOUT, ""
    elif canceled.journal_full:
        state, code, kind = State.FAILED, FailureCode.INTERNAL, "JournalFull"
    else:
        state, code, kind = State.CANCELED, FailureCode.CANCELED, ""
    return Close(state, failure=Failure(code, canceled.reason, kind, source=canceled.requester))


def _same_value(ours: Payload | None, theirs: Payload | None) -> bool:
    """Equal bytes, or equal JSON: a tool may have changed the spaces in a journal."""
    if ours == theirs:
        return True
    if ours is None or theirs is None or ours.form != "json" or theirs.form != "json":
        return False
    return bool(json.loads(ours.data) == json.loads(theirs.data))


def _kind(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.code, failure.type)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
