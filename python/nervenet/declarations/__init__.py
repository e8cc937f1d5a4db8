# SPDX-License-Identifier: Apache-2.0
"""A workflow as data, as plain records: what the contract's Definition is for everybody who knows no protobuf.

    Declaration("greet", 1, (DeclaredStep("hello", Call("greet", "input.name")),), output="steps.hello")

`wire` makes these of the message, `check` says what is wrong with one, `durable.declared` interprets it. Fields that
are expressions hold CEL as text; the contract (protos/nervenet/v1/workflow.proto) says what each of them sees.
"""

from nervenet.declarations.check import ALWAYS, Problem, check, edges, language_of
from nervenet.declarations.records import (
    Action,
    AskAction,
    CallAction,
    ChildAction,
    ComputeAction,
    Declaration,
    DeclaredStep,
    ForEach,
    SleepAction,
)

__all__ = [
    "ALWAYS",
    "Action",
    "AskAction",
    "CallAction",
    "ChildAction",
    "ComputeAction",
    "Declaration",
    "DeclaredStep",
    "ForEach",
    "Problem",
    "SleepAction",
    "check",
    "edges",
    "language_of",
]
