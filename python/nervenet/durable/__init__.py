# SPDX-License-Identifier: Apache-2.0
"""The replay machine: a workflow as a pure function of its journal. It has no I/O, no clock and no generated code.

machine.py                      `Machine`: entries in, commands out
fold.py pending.py children.py commands.py    the state of a run, and what it needs from its node
loop.py                         the event loop that runs workflow code
context.py                      `Context`, the first parameter of workflow code
retry.py failures.py signals.py    retries; exceptions as data; the signals that a workflow receives
declared.py                     workflows given as data, run by the same machine
check.py changed_environment.py    the replay check
lines.py remedies.py            lines of user code, and what to write instead, for error messages
"""

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
from nervenet.durable.failures import failure_of, failure_text
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
    "failure_text",
]
