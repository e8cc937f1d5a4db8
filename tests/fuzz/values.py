# SPDX-License-Identifier: Apache-2.0
"""Any message of the contract, filled from its descriptor: what a caller would send, and what none should.

A field has values that make sense, found by its name, and values that don't, found by its type. How many of a message's
fields make none is drawn for the message as a whole (`wild`), so that calls come through every door: some are refused for
their one wrong field, some are right and do something.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Field = FieldDescriptor

DEFINITIONS: Final = ("echo", "waits", "asks", "counts", "greets", "wonders", "f1", "f2", "f3", "nervenet.task")
WORKFLOWS: Final = tuple(f"w{i}" for i in range(40))
EXPRESSIONS: Final = ("input", "'text'", "1 / 0", "[1, 2, 3]", "{'a': input}", "steps.a", "item", "error.message", "")
TEXTS: Final = (
    "", "a", "no", "ask", "ü", "\x00", "a b", "\u2028", "😀" * 9, "{braces}", "../..", "%s%n", "'; --", "a" * 63,
)  # fmt: skip
JSONS: Final = (
    "null", "1", "-0", '"yes"', '"no"', "[]", "{}", '{"a":1,"a":2}', "12345678901234567890", "1e999", "1.10", '"\\u0000"',
    "NaN", "{", "", '"\\ud800"', "[" * 150 + "]" * 150, "[" * 5000 + "]" * 5000, "1" * 5000, '{"type": 7}', '"\u2028"',
)  # fmt: skip
INTS: Final = (0, 1, -1, 2, 7, 50, 1000, (1 << 31) - 1, -(1 << 31))
LONGS: Final = (*INTS, 1 << 53, (1 << 63) - 1, -(1 << 63))
DOUBLES: Final = (0.0, 1.0, -1.0, 0.5, 1e308, 5e-324, math.nan, math.inf, -math.inf)
SECONDS: Final = (0, 1, -1, 3600, 315_576_000, 315_576_001, 253_402_300_799, -62_135_596_801, (1 << 63) - 1, -(1 << 63))
NANOS: Final = (0, 1, 999_999_999, 1_000_000_000, -1, (1 << 31) - 1, -(1 << 31))
LARGE: Final = 64 << 10

SENSIBLE: Final[dict[str, tuple[Any, ...]]] = {
    "workflow_id": WORKFLOWS,
    **dict.fromkeys(("workflow_ids", "forget_workflow_ids"), WORKFLOWS),
    "definition": DEFINITIONS,
    "name": ("greet", "odd", "f1", "f2", "f3", "a", "b", "key"),
    "capability": ("greet", "odd"),
    "signal": ("go",),
    "request_id": tuple(f"r{i}" for i in range(200)),
    "escalation_id": tuple(f"{workflow}/ask#1" for workflow in WORKFLOWS),
    "agent_id": ("ocr-aaaaaaaa", "ocr-bbbbbbbb"),
    "task_id": tuple(f"{workflow}/odd" for workflow in WORKFLOWS),
    "step": ("odd", "greet", "ask"),
    "depends_on": ("a", "b"),
    "json": ("1", '"yes"', '"no"', "null", '{"a": [1, 2.50]}', "7"),
    "uri": ("s3://bucket/key",),
    "text": ("text", "?"),
    "answer_schema": ('{"type": "integer"}', '{"type": 7}', "{"),
    "traceparent": ("", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    "control_endpoint": ("", "127.0.0.1:1"),
    "version": (0, 1, 2),
    "slots": (0, 1, 10),
    "credit": (1, 4, 50),
    "attempt": (0, 1),
    "run": (0, 1),
    "attempts": (0, 1, 3),
    "page_size": (0, 1, 50),
    "max_attempts": (0, 1, -1),
    "backoff_multiplier": (0.0, 1.0, 2.0),
    "jitter": (0.0, 0.5),
    "concurrency": (0, 3),
    "after_sequence": (0, 1, 3),
}
_OF_EXPRESSION: Final = ("input", "output", "condition", "items", "value", "recover", "publish", "question", "context")
_NEVER: Final = ("node_id",)
"""Fields that stay nobody's: a node that is told to drain is no longer under test."""


class Filler:
    """One source of messages. `learnt` are values that answers gave: page tokens, ids of agents, leases."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.learnt: dict[str, deque[Any]] = {
            name: deque(maxlen=50) for name in ("page_token", "agent_id", "lease_id", "after_revision")
        }
        self.agent_ids: tuple[str, ...] = ("ocr-aaaaaaaa",)
        """Agents that calls of AgentService may name; nobody registers under these."""
        self._wild = 0.0
        self._lists = 25

    def message(self, message: Message) -> None:
        """Fill it."""
        self._wild = self.random.choice((0.0, 0.0, 0.03, 0.1, 0.4, 1.0))
        self._fill(message, 0)

    def encoded(self, message: Message) -> bytes:
        """A filled message as it travels, sometimes with a field that no version knows."""
        self.message(message)
        data = message.SerializeToString()
        return data + b"\xfa\xff\x7f\x03new" if self.random.random() < 0.02 else data

    def too_deep(self, message: Message) -> bytes:
        """More messages in each other than protobuf reads (100), where the type allows it."""
        self._lists = 120
        try:
            return self.encoded(message)
        finally:
            self._lists = 25

    def noise(self) -> bytes:
        """Random bytes, of which some look like a message at first."""
        return self.random.randbytes(self.random.choice((1, 2, 5, 20, 200, 5000)))

    def cut(self, message: Message) -> bytes:
        """A message that ends too early."""
        self.message(message)
        data = message.SerializeToString()
        return data[: self.random.randrange(len(data))] if data else b"\x0a"

    # ── by descriptor ────────────────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, message: Any, depth: int) -> None:
        kind = message.DESCRIPTOR
        match kind.full_name:
            case "google.protobuf.Duration" | "google.protobuf.Timestamp":
                return self._time(message)
            case "google.protobuf.Value" | "google.protobuf.Struct":
                return self._value(message)
        chosen = {group.name: self.random.choice(group.fields).name for group in kind.oneofs}
        for field in kind.fields:
            group = field.containing_oneof
            if group is not None and len(group.fields) > 1:
                if chosen[group.name] == field.name:
                    self._set(message, field, depth)
            elif self.random.random() < (0.75 if depth < 2 else 0.4):
                self._set(message, field, depth)
        return None

    def _set(self, message: Any, field: Any, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._set_map(getattr(message, field.name), field.message_type)
        elif field.is_repeated:
            for _ in range(self._count(field)):
                if field.message_type is None:
                    getattr(message, field.name).append(self._leaf(field))
                elif depth < 6:
                    self._fill(getattr(message, field.name).add(), depth + 1)
        elif field.message_type is None:
            setattr(message, field.name, self._leaf(field))
        elif depth < (25 if self._is_wild() else 6):
            getattr(message, field.name).SetInParent()
            self._fill(getattr(message, field.name), depth + 1)

    def _set_map(self, found: Any, entry: Any) -> None:
        for _ in range(self.random.choice((0, 1, 1, 2, 30 if self._is_wild() else 1))):
            key = self._text() if self._is_wild() else self.random.choice(("team", "region", "a"))
            found[key] = self._leaf(entry.fields_by_name["value"])

    def _count(self, field: Any) -> int:
        if self._is_wild():
            return self.random.choice((0, 3, 30, 1001 if field.name == "requests" else 60))
        return self.random.choice((0, 1, 1, 2))

    def _is_wild(self) -> bool:
        return self.random.random() < self._wild

    def _leaf(self, field: Any) -> Any:
        if field.name in _NEVER:
            return self.random.choice(("", "n-aaaaaaaa", "x"))
        learnt = self.learnt.get(field.name)
        if not self._is_wild():
            if field.name == "agent_id" and field.file.name.endswith("agent_service.proto"):
                return self.random.choice((*self.agent_ids, *(learnt or ())))
            if field.full_name == "nervenet.v1.StartWorkflowRequest.workflow_id" and self.random.random() < 0.5:
                return ""  # a new one
            if learnt and self.random.random() < 0.8:
                return self.random.choice(learnt)
            if field.name in SENSIBLE and self._takes(field, SENSIBLE[field.name][0]):
                return self.random.choice(SENSIBLE[field.name])
        return self._odd(field)

    def _takes(self, field: Any, value: Any) -> bool:
        kinds = {Field.CPPTYPE_STRING: str, Field.CPPTYPE_DOUBLE: float}
        whole = field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64)
        return field.type != Field.TYPE_BYTES and isinstance(value, int if whole else kinds.get(field.cpp_type, ()))

    def _odd(self, field: Any) -> Any:
        choose = self.random.choice
        if field.enum_type is not None:
            known = [value.number for value in field.enum_type.values]
            return choose((len(known), 99, -1, (1 << 31) - 1)) if self._is_wild() else choose(known)
        if field.type == Field.TYPE_BYTES:
            return self.random.randbytes(choose((0, 1, 8, 32, LARGE if self._is_wild() else 2)))
        match field.cpp_type:
            case Field.CPPTYPE_STRING:
                if field.name == "page_token" and not self._is_wild():
                    return ""
                if field.name == "json":
                    return choose(JSONS)
                if field.name in _OF_EXPRESSION and not self._is_wild():
                    return choose(EXPRESSIONS)
                return self._text()
            case Field.CPPTYPE_BOOL:
                return choose((True, False))
            case Field.CPPTYPE_DOUBLE:
                return choose(DOUBLES) if self._is_wild() else self.random.random()
            case Field.CPPTYPE_INT32:
                return choose(INTS) if self._is_wild() else choose((0, 1))
            case Field.CPPTYPE_INT64:
                return choose(LONGS) if self._is_wild() else 0
        raise AssertionError(f"{field.full_name}: a type that the fuzzer does not know yet")

    def _text(self) -> str:
        if self.random.random() < 0.02:
            return self.random.choice(("x" * LARGE, "ü" * (LARGE // 2), "(" * 5000, "[" * 5000, "😀" * 2000))
        return self.random.choice(TEXTS)

    def _time(self, message: Any) -> None:
        if self._is_wild():
            message.seconds, message.nanos = self.random.choice(SECONDS), self.random.choice(NANOS)
        elif message.DESCRIPTOR.name == "Duration":
            message.nanos = self.random.choice((1_000_000, 10_000_000, 50_000_000))
        else:
            message.seconds = self.random.choice((0, 1, 1_700_000_000, 4_000_000_000))

    def _value(self, message: Any) -> None:
        if message.DESCRIPTOR.name == "Struct":
            for key in self.random.sample(("type", "$ref", "pattern", "properties", "ü"), 2):
                self._value(message.fields[key])
            return
        match self.random.randrange(7):
            case 0:
                message.null_value = 0
            case 1:
                message.number_value = self.random.choice(DOUBLES) if self._is_wild() else 7
            case 2:
                message.bool_value = True
            case 3:
                for _ in range(self._lists if self._is_wild() else 2):
                    message = message.list_value.values.add()
                message.number_value = 1
            case 4:
                self._value(message.struct_value.fields[self._text()])
            case 5:
                message.string_value = self.random.choice((*TEXTS, "yes", "no", "integer", "#/nowhere", "("))
            case _:
                pass  # a Value of no kind


_TOLD_WHO: Final = ("Welcome", "RegisterAgentResponse")
"""Answers to who registered. Others name the agent whose work the node's health is judged by: nobody registers as that one."""


def learn(filler: Filler, answer: Message) -> None:
    """Keep what later calls can name."""
    for field, value in answer.ListFields():
        if field.name == "next_page_token":
            filler.learnt["page_token"].append(value)
        elif field.name in ("agent_id", "lease_id") and value and answer.DESCRIPTOR.name in _TOLD_WHO:
            filler.learnt[field.name].append(value)
        elif field.name == "revision":
            filler.learnt["after_revision"].append(value)


def shown(data: bytes, kind: type[Message]) -> str:
    """A request for people."""
    try:
        return " ".join(str(kind.FromString(data)).split())[:600]
    except Exception:  # noqa: BLE001  # protobuf's own errors
        return data[:100].hex()
