# SPDX-License-Identifier: Apache-2.0
"""The replay machine: a workflow as a pure function of its journal. No I/O, no clock, no generated code in here."""

from nervenet.definitions import PYTHON
from nervenet.durable.children import ChildRun
from nervenet.durable.commands import (
    CancelChild,
    CloseRun,
    Command,
    ContinueRun,
    Dispatch,
    EscalateStep,
    Expire,
    FailStep,
    Publish,
    RecordPatch,
    SendSignal,
    StartChild,
    StartTimer,
    StopTimer,
    Withdraw,
)
from nervenet.durable.context import Answer, Child, Context, TokenUsage
from nervenet.durable.failures import failure_of
from nervenet.durable.machine import Interrupted, Machine
from nervenet.durable.pending import Pending, Phase

__all__ = [
    "PYTHON",
    "Answer",
    "CancelChild",
    "Child",
    "ChildRun",
    "CloseRun",
    "Command",
    "Context",
    "ContinueRun",
    "Dispatch",
    "EscalateStep",
    "Expire",
    "FailStep",
    "Interrupted",
    "Machine",
    "Pending",
    "Phase",
    "Publish",
    "RecordPatch",
    "SendSignal",
    "StartChild",
    "StartTimer",
    "StopTimer",
    "TokenUsage",
    "Withdraw",
    "failure_of",
]
