# SPDX-License-Identifier: Apache-2.0
"""What a workflow has under way at other workflows: children that it started, signals that it sends.

Neither has attempts or questions, so they are not `Pending`: a child is started (`child:<step>`), runs, and ends
(`task:<step>`, which its owner appends); a signal goes out and has gone (`sent:<step>`).
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from nervenet.durable.commands import CancelChild, Command, SendSignal, StartChild
from nervenet.durable.lines import Site
from nervenet.durable.pending import Contradiction
from nervenet.options import ResolvedStart
from nervenet.payloads import Codec
from nervenet.records import Entry, Failure, Outcome, Payload


class ChildRun:
    """A child as its parent's code knows it, from the wish to start it to its outcome."""

    __slots__ = (
        "born",
        "canceling",
        "definition",
        "ended",
        "id",
        "input",
        "options",
        "output",
        "running",
        "site",
        "started",
        "step",
        "version",
    )

    def __init__(
        self,
        definition: str,
        version: int,
        output: Codec[Any],
        site: Site,
        input: Payload,
        options: ResolvedStart,
        id: str,
    ) -> None:
        self.step = ""
        self.id = id
        self.definition = definition
        self.version = version
        self.output = output
        self.site = site
        self.input = input
        self.options = options
        self.born = 0
        self.running = False
        self.canceling = False
        self.started: asyncio.Future[Failure | None]
        self.ended: asyncio.Future[Outcome]

    def __repr__(self) -> str:
        return f"<child {self.id} {'running' if self.running else 'starting'}>"

    def begin(self, step: str, parent: str, born: int, loop: asyncio.AbstractEventLoop) -> None:
        self.step, self.born = step, born
        self.id = self.id or f"{parent}/{step}"
        self.started, self.ended = asyncio.Future(loop=loop), asyncio.Future(loop=loop)

    def wanted(self) -> Command | None:
        """What the world still has to do for it."""
        if not self.running:
            return self.start()
        return self.cancelation() if self.canceling else None

    def start(self) -> StartChild:
        return StartChild(self.step, self.id, self.definition, self.version, self.input, self.options)

    def cancelation(self) -> CancelChild:
        return CancelChild(self.step, self.id)

    def end(self, outcome: Outcome) -> None:
        if not self.ended.done():
            self.ended.set_result(outcome)

    def check(self, entry: Entry, workflow_id: str, definition: str) -> None:
        """Whether the entry speaks of this very child."""
        if (workflow_id, definition) != (self.id, self.definition):
            theirs, ours = f"{definition} {workflow_id}", f"{self.definition} {self.id}"
            raise Contradiction(f"{entry.name} ({theirs})", f"{entry.name} ({ours})", self.site)


class OutgoingSignal:
    """A signal on its way to another workflow."""

    __slots__ = ("born", "gone", "payload", "signal", "signal_id", "site", "step", "undeclared", "workflow_id")

    def __init__(self, workflow_id: str, signal: str, payload: Payload, site: Site, *, undeclared: bool) -> None:
        self.workflow_id = workflow_id
        self.signal = signal
        self.payload = payload
        self.site = site
        self.undeclared = undeclared
        self.step = self.signal_id = ""
        self.born = 0
        self.gone: asyncio.Future[Failure | None]

    def begin(self, step: str, sender: str, born: int, loop: asyncio.AbstractEventLoop) -> None:
        """`sender` is the run that sends: with the step it makes the signal's id, so that a resend is a no-op."""
        self.step, self.born = step, born
        self.signal_id = hashlib.blake2b(f"{sender}/{step}".encode(), digest_size=16).hexdigest()
        self.gone = asyncio.Future(loop=loop)

    def wanted(self) -> SendSignal:
        return SendSignal(self.step, self.workflow_id, self.signal, self.payload, self.signal_id, self.undeclared)

    def check(self, entry: Entry, workflow_id: str, signal: str) -> None:
        if (workflow_id, signal) != (self.workflow_id, self.signal):
            theirs, ours = f"{signal} to {workflow_id}", f"{self.signal} to {self.workflow_id}"
            raise Contradiction(f"{entry.name} ({theirs})", f"{entry.name} ({ours})", self.site)
