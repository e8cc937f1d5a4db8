# SPDX-License-Identifier: Apache-2.0
"""The payloads within a message, whatever the message is: no call and no new field can be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

_PACKAGE: Final = common.DESCRIPTOR.package


def parts_of(message: Message) -> Iterator[Any]:
    """The messages of the contract directly within a message."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None or kind.file.package != _PACKAGE:
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is None:
                continue
            value = value.values()
        yield from value if field.is_repeated else (value,)


def payloads_in(message: Message, *, questions: bool = True) -> Iterator[common.Payload]:
    """Every payload within a message, to be read or changed in place. `questions`: also those of questions to people."""
    for part in parts_of(message):
        if isinstance(part, common.Payload):
            yield part
        elif questions or not isinstance(part, task.Question):
            yield from payloads_in(part, questions=questions)


def stored_entry(data: bytes) -> workflow.JournalEntry:
    """A journal entry as it is stored. Raises protobuf's DecodeError."""
    return workflow.JournalEntry.FromString(data)


def stored_envelope(data: bytes) -> task.TaskEnvelope:
    """A task envelope as it is sent. Raises protobuf's DecodeError."""
    return task.TaskEnvelope.FromString(data)


def stored_payload(data: bytes) -> common.Payload:
    """A payload on its own. Raises protobuf's DecodeError."""
    return common.Payload.FromString(data)
