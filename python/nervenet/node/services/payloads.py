# SPDX-License-Identifier: Apache-2.0
"""How an answer carries payloads: as people like them, as they are stored, or not at all (`PayloadFormat`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import Message

from nervenet.blobs import size_of
from nervenet.v1 import common_pb2 as common
from nervenet.wire import payload_for_people, payload_in, payload_out

if TYPE_CHECKING:
    from nervenet.records import Payload


def shaped(payload: Payload, form: common.PayloadFormat) -> common.Payload:
    """A payload of ours in the form that was asked for."""
    if form == common.PAYLOAD_FORMAT_RAW:
        return payload_out(payload)
    if form == common.PAYLOAD_FORMAT_OMIT:
        return common.Payload(size_bytes=size_of(payload))
    return payload_for_people(payload)


def reshape(message: Message, form: common.PayloadFormat) -> None:
    """Every payload inside a message that was stored."""
    if form == common.PAYLOAD_FORMAT_RAW:
        return
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None or kind.file.package != common.DESCRIPTOR.package:
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is None:  # labels and the like
                continue
            value = value.values()  # what a map carries
        for part in value if field.is_repeated else (value,):
            if isinstance(part, common.Payload):
                part.CopyFrom(shaped(payload_in(part), form))
            else:
                reshape(part, form)
