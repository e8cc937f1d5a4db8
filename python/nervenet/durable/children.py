# SPDX-License-Identifier: Apache-2.0
"""The pending work of a workflow at other workflows: children that it has started, signals that it sends.

They have no attempts and no questions, so they are not `Pending`. A child is started (`child:<step>`), runs, and ends
(`task:<step>`, which its owner appends). A signal is being sent, and then it is sent (`sent:<step>`).
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
    """A child as its parent's code sees it, from the command to start it to its outcome."""

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
        "since_ms",
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
        self.born = self.since_ms = 0
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
        """The command that its node must still carry out."""
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
        """Whether the entry is about this child."""
        if (workflow_id, definition) != (self.id, self.definition):
            theirs, ours = f"{definition} {workflow_id}", f"{self.definition} {self.id}"
            raise Contradiction(f"{entry.name} ({theirs})", f"{entry.name} ({ours})", self.site)


class OutgoingSignal:
    """A signal that is being sent to another workflow."""

    __slots__ = (
        "born",
        "gone",
        "payload",
        "signal",
        "signal_id",
        "since_ms",
        "site",
        "step",
        "undeclared",
        "workflow_id",
    )

    def __init__(self, workflow_id: str, signal: str, payload: Payload, site: Site, *, undeclared: bool) -> None:
        self.workflow_id = workflow_id
        self.signal = signal
        self.payload = payload
        self.site = site
        self.undeclared = undeclared
        self.step = self.signal_id = ""
        self.born = self.since_ms = 0
        self.gone: asyncio.Future[Failure | None]

    def begin(self, step: str, sender: str, born: int, loop: asyncio.AbstractEventLoop) -> None:
        """`sender` is the run that sends. With the step it is the signal's id, so that a second send has no effect."""
        self.step, self.born = step, born
        self.signal_id = hashlib.blake2b(f"{sender}/{step}".encode(), digest_size=16).hexdigest()
        self.gone = asyncio.Future(loop=loop)

    def wanted(self) -> SendSignal:
        return SendSignal(self.step, self.workflow_id, self.signal, self.payload, self.signal_id, self.undeclared)

    def check(self, entry: Entry, workflow_id: str, signal: str) -> None:
        if (workflow_id, signal) != (self.workflow_id, self.signal):
            theirs, ours = f"{signal} to {workflow_id}", f"{self.signal} to {self.workflow_id}"
            raise Contradiction(f"{entry.name} ({theirs})", f"{entry.name} ({ours})", self.site)
