# SPDX-License-Identifier: Apache-2.0
"""What a process does to each value that enters or leaves user code: the codecs of its setting, one after the other.

Encoding the same value twice gives different bytes, because of the random nonce. Whatever must be the same each time uses
digests of the plain value instead: the replay's comparison of a step's input with the journal, and the question whether a
second start is the same as the first. They are keyed, so nobody without a key can try out values, and salted with the run or
the workflow id, so equal values of two workflows do not show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable

from nervenet.codecs.compression import LARGEST
from nervenet.codecs.layout import (
    FAILURE_TYPE,
    CodecError,
    describe,
    encoding_of,
    field,
    fields,
    is_encoded,
    parsed,
    serialized,
    text_of,
    texts_in,
    wrapped,
)
from nervenet.records import Payload

if TYPE_CHECKING:
    from nervenet.followed_file import FollowedFile
    from nervenet.records import Failure, Question

DIGEST_BYTES = 8
_MESSAGE, _STACK_TRACE, _DETAILS = 2, 7, 8
_NO_FAILURE_TYPE = field(6, FAILURE_TYPE.encode())

Q = TypeVar("Q", bound="Question")
T = TypeVar("T")


class PayloadCodec(Protocol):
    """A codec of your own, named in the setting `codec` as `module:object`. Its methods are called from several threads.

    Attributes:
        name: Its name in `Payload.encoding`: lower-case letters, digits and `-`.
    """

    name: str

    def encode(self, data: bytes, /) -> tuple[str, bytes] | None:
        """Encode some bytes.

        Args:
            data: The bytes: a serialized `Payload`.

        Returns:
            Parameters that `decode` needs, such as a key id (at most 200 characters without spaces and brackets; may be
            empty), and the encoded bytes. None: leave this value as it is.
        """

    def decode(self, parameters: str, data: bytes, /) -> bytes:
        """Decode what `encode` returned.

        Args:
            parameters: The parameters.
            data: The encoded bytes.

        Raises:
            CodecError: It cannot be decoded here. Say what to set.
        """

    def digests(self, data: bytes, /) -> Sequence[bytes]:
        """Keyed digests of some bytes, at least 8 bytes each.

        They must stay the same for as long as journals live. With several keys there is one for each, in a fixed order.

        Args:
            data: The bytes.

        Returns:
            The digests. Empty: the codec hides nothing, and an unkeyed digest may be stored.
        """


@runtime_checkable
class Keyed(Protocol):
    """A codec whose keys are in a file that may change."""

    @property
    def file(self) -> FollowedFile[Any, Any] | None: ...

    def knows_keys_in(self, data: bytes, /) -> bool: ...


class Codecs:
    """The codecs of one process. Thread-safe. Without any, values pass as they are."""

    __slots__ = ("_by_name", "_digests", "_keyed", "_order", "on")

    def __init__(self, codecs: Sequence[PayloadCodec] = ()) -> None:
        self._order = tuple(codecs)
        self._by_name = {codec.name: codec for codec in codecs}
        self._digests: Callable[[bytes], Sequence[bytes]] | None = None
        for codec in codecs:
            if codec.digests(b""):
                self._digests = codec.digests
        self._keyed = tuple(codec for codec in codecs if isinstance(codec, Keyed) and codec.file is not None)
        self.on = bool(codecs)

    def __repr__(self) -> str:
        return f"<Codecs {', '.join(self._by_name) or 'none'}>"

    @property
    def hides(self) -> bool:
        """Whether values are secret: a codec encrypts."""
        return self._digests is not None

    def plain_limit(self, limit: int) -> int:
        """The largest size of a value before it is encoded. `payload_limit` is for what travels, which may be compressed."""
        return LARGEST if self.on else limit

    # ── keys that change ─────────────────────────────────────────────────────────────────────────────────────────────

    # Nothing below this part reads a file: the replay machine encodes and decodes. The code at the border looks first.

    async def follow(self) -> None:
        """Look at the files of keys once a second, without end: for processes that run for long."""
        async with asyncio.TaskGroup() as group:
            for codec in self._keyed:
                assert codec.file is not None
                group.create_task(codec.file.follow())

    def look(self) -> None:
        """Look at the files of keys if the last look was a second ago: where nothing follows, before values are encoded."""
        for codec in self._keyed:
            assert codec.file is not None
            codec.file.look_if_due()

    def look_for_keys_in(self, data: bytes) -> None:
        """Look at the files at once if a message that has arrived names a key that is not known yet.

        Args:
            data: The message as it was on the wire, or the `about` of a payload.
        """
        for codec in self._keyed:
            if not codec.knows_keys_in(data):
                assert codec.file is not None
                codec.file.look()

    def decode_received(self, payload: Payload) -> Payload:
        """`decode` for a value that has just arrived: its key may be in the file by now. Raises CodecError."""
        self.look_for_keys_in(payload.about)
        return self.decode(payload)

    # ── payloads ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def encode(self, payload: Payload, fingerprint: bytes = b"") -> Payload:
        """The payload as it travels. No value, and what is encoded already, stay as they are."""
        if not self.on or payload.form == "none" or is_encoded(payload):
            return payload
        for codec in self._order:
            done = codec.encode(serialized(payload))
            if done is not None:
                parameters, data = done
                payload = wrapped(f"{codec.name};{parameters}" if parameters else codec.name, data)
        if fingerprint and is_encoded(payload):
            return wrapped(encoding_of(payload), payload.data, fingerprint)
        return payload

    def decode(self, payload: Payload) -> Payload:
        """The payload as user code gave it.

        Raises:
            CodecError: It was encoded by a codec or with a key that is not known here.
        """
        if not payload.about:
            return payload
        while is_encoded(payload):
            name, _, parameters = encoding_of(payload).partition(";")
            codec = self._by_name.get(name)
            if codec is None:
                raise self._unknown(encoding_of(payload))
            payload = parsed(codec.decode(parameters, payload.data))
        return payload

    def _unknown(self, encoding: str) -> CodecError:
        if encoding == "blob":
            return CodecError(
                "it is in the blob store, but NERVENET_BLOBS is not set in this process: set it as nodes have it"
            )
        if not self.on:
            return CodecError(f"it is {describe(encoding)}, but NERVENET_CODEC is not set in this process")
        have = ",".join(self._by_name)
        return CodecError(f"it is {describe(encoding)}, but NERVENET_CODEC has no such codec here (it has {have})")

    def for_people(self, payload: Payload) -> Payload:
        """The payload decoded, or as it is if that is not possible."""
        try:
            return self.decode(payload)
        except CodecError:
            return payload

    def decode_within(self, value: T, /) -> T:
        """The same command with every payload and text within it decoded, to compare it with another one."""
        return cast(T, self._within(value)) if self.on else value

    def _within(self, value: Any) -> Any:
        if isinstance(value, Payload):
            plain = self.decode(value)
            return plain._replace(data=self.decode_text(plain.data.decode(errors="replace")).encode())  # a view's text
        if isinstance(value, tuple):
            parts = [self._within(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value, **{each.name: self._within(getattr(value, each.name)) for each in dataclass_fields(value)}
            )
        return value

    # ── what stands for a value ──────────────────────────────────────────────────────────────────────────────────────

    def digests(self, payload: Payload, salt: bytes) -> tuple[bytes, ...]:
        """What a journal may have as the digest of this plain payload. The first one is written.

        The last one is that of a process without a codec, so a codec can be set while workflows run.
        """
        plain = payload.digest()
        if self._digests is None:
            return (plain,)
        return (*(found[:DIGEST_BYTES] for found in self._digests(_salted(salt, payload))), plain)

    def fingerprint(self, payload: Payload, salt: str) -> bytes:
        """What makes two encoded inputs the same start. It is made with the oldest key, which changes last."""
        if not self.on or payload.form == "none" or is_encoded(payload):
            return b""
        if payload.form == "json":
            payload = Payload("json", _canonical(payload.data), payload.about)
        data = _salted(salt.encode(), payload)
        return bytes(self._digests(data)[-1]) if self._digests is not None else Payload("bytes", data).digest()

    # ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def encode_text(self, text: str) -> str:
        """A text as a text, for fields that are no payloads. Texts are hidden, not compressed."""
        if not text or not self.hides:
            return text
        payload = Payload("text", text.encode(errors="replace"))
        for codec in self._order:
            if codec.digests(b"") and (done := codec.encode(serialized(payload))) is not None:
                payload = wrapped(f"{codec.name};{done[0]}" if done[0] else codec.name, done[1])
        return text_of(payload)

    def decode_text(self, text: str) -> str:
        """A text with each encoded part decoded, or in words where that is not possible."""
        if "encoded[" not in text:
            return text
        for token, payload in texts_in(text):
            try:
                found = self.decode(payload).data.decode(errors="replace")
            except CodecError:
                found = describe(encoding_of(payload))
            text = text.replace(token, found)
        return text

    # ── failures and questions ───────────────────────────────────────────────────────────────────────────────────────

    def encode_failure(self, failure: Failure) -> Failure:
        """The failure without its words: message, stack trace and details are in the encoded details."""
        if not self.hides:
            return failure if failure.details is None else replace(failure, details=self.encode(failure.details))
        cause = None if failure.cause is None else self.encode_failure(failure.cause)
        if failure.details is not None and is_encoded(failure.details):
            return replace(failure, cause=cause)
        words = field(_MESSAGE, failure.message.encode(errors="replace"))
        words += field(_STACK_TRACE, failure.stack_trace.encode(errors="replace"))
        if failure.details is not None:
            words += field(_DETAILS, serialized(failure.details))
        sealed = self.encode(Payload("bytes", words, _NO_FAILURE_TYPE))
        return replace(failure, message=describe(encoding_of(sealed)), stack_trace="", details=sealed, cause=cause)

    def decode_failure(self, failure: Failure) -> Failure:
        """The failure with message, stack trace and details.

        Raises:
            CodecError: They cannot be decoded here.
        """
        cause = None if failure.cause is None else self.decode_failure(failure.cause)
        if failure.details is None:
            return failure if cause is failure.cause else replace(failure, cause=cause)
        details = self.decode(failure.details)
        if details.form != "bytes" or details.about != _NO_FAILURE_TYPE:
            return replace(failure, details=details, cause=cause)
        words = {number: value for number, value, _ in fields(details.data)}
        return replace(
            failure,
            message=words.get(_MESSAGE, b"").decode(errors="replace"),
            stack_trace=words.get(_STACK_TRACE, b"").decode(errors="replace"),
            details=parsed(words[_DETAILS]) if _DETAILS in words else None,
            cause=cause,
        )

    def encode_question(self, question: Q) -> Q:
        """The question with its values encoded. Its text and choices are for people, and stay."""
        return replace(
            question,
            context=self.encode(question.context),
            suggestion=self.encode(question.suggestion),
            default=None if question.default is None else self.encode(question.default),
            failure=None if question.failure is None else self.encode_failure(question.failure),
        )


PLAIN = Codecs()
"""No codec: every value passes as it is."""


def _salted(salt: bytes, payload: Payload) -> bytes:
    return len(salt).to_bytes(4, "big") + salt + payload.form.encode() + b"\0" + payload.data


def _canonical(data: bytes) -> bytes:
    """JSON sorted and compact, as a node compares inputs."""
    try:
        value = json.loads(data)
    except ValueError:
        return data
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
