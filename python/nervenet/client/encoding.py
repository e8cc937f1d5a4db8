# SPDX-License-Identifier: Apache-2.0
"""Payloads of a client's messages: encoded before a request leaves, decoded when an answer is here.

It walks through whole messages, so no call and no new field can be forgotten. What cannot be decoded stays as it is: a list
must not fail because of one workflow whose key is missing. Code that needs the value then gets CodecError from its type's codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import DecodeError, Message

from nervenet.codecs.layout import FAILURE_TYPE, is_encoded
from nervenet.v1 import common_pb2 as common
from nervenet.wire import payload_for_people, payload_in, payload_out
from nervenet.wire.within import parts_of

if TYPE_CHECKING:
    from nervenet.codecs import Codecs

__all__ = ["Encoding"]

M = TypeVar("M", bound=Message)


class Encoding:
    """The codecs of one client, for messages."""

    def __init__(self, codecs: Codecs) -> None:
        self.codecs = codecs

    def encoded(self, request: M) -> M:
        """A request with its payloads encoded; the same object if there is nothing to do."""
        if not self.codecs.on:
            return request
        self.codecs.look()  # nothing follows the keys in a process of the user's
        copy = type(request)()
        copy.CopyFrom(request)
        self._encode(copy, _id_of(copy))
        return copy

    def _encode(self, message: Message, id: str) -> None:
        for part in parts_of(message):
            if isinstance(part, common.Payload):
                plain = payload_in(part)
                fingerprint = self.codecs.fingerprint(plain, id) if id else b""
                part.CopyFrom(payload_out(self.codecs.encode(plain, fingerprint)))
            else:
                self._encode(part, _id_of(part) or id)

    def decoded(self, answer: M, request: Message | None = None) -> M:
        """An answer with its payloads and texts decoded in place, in the form that the request asked for."""
        if self.codecs.on:
            self.codecs.look()
            raw = getattr(request, "payload_format", common.PAYLOAD_FORMAT_RAW) == common.PAYLOAD_FORMAT_RAW
            self._decode(answer, payload_out if raw else payload_for_people)
        return answer

    def _decode(self, message: Message, shaped: Any) -> None:
        for field, value in message.ListFields():
            if isinstance(value, str) and "encoded[" in value:
                setattr(message, field.name, self.codecs.decode_text(value))
        for part in parts_of(message):
            if isinstance(part, common.Payload):
                self._decode_payload(part, shaped)
            else:
                if isinstance(part, common.Failure):
                    self._decode_failure(part)
                self._decode(part, shaped)

    def _decode_payload(self, message: common.Payload, shaped: Any) -> None:
        payload = payload_in(message)
        self.codecs.look_for_keys_in(payload.about)
        plain = self.codecs.for_people(payload)
        if payload.form == "json" and b"encoded[" in payload.data:  # a published view
            text = payload.data.decode()
            if text.startswith('"') and (found := self.codecs.decode_text(text[1:-1])) != text[1:-1]:
                plain = payload._replace(data=found.encode())
        if plain is not payload:
            message.CopyFrom(shaped(plain))

    def _decode_failure(self, failure: common.Failure) -> None:
        if not failure.HasField("details"):
            return
        sealed = payload_in(failure.details)
        self.codecs.look_for_keys_in(sealed.about)
        details = self.codecs.for_people(sealed)
        if is_encoded(details) or details.form != "bytes" or FAILURE_TYPE.encode() not in details.about:
            return
        try:
            words = common.Failure.FromString(details.data)
        except DecodeError:
            return
        failure.message, failure.stack_trace = words.message, words.stack_trace
        failure.ClearField("details")
        if words.HasField("details"):
            failure.details.CopyFrom(words.details)


def _id_of(message: Any) -> str:
    """What a second request for the same start has in common with the first."""
    name = message.DESCRIPTOR.name
    if name == "StartWorkflowRequest":
        return str(message.workflow_id)
    return f"task/{message.request_id}" if name == "RunTaskRequest" and message.request_id else ""
