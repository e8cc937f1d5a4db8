# SPDX-License-Identifier: Apache-2.0
"""The bytes of encoded values, as any language reads and writes them (protos/README.md, "Encoded payloads").

An encoded payload is a `Payload` with `data`, the content type `application/vnd.nervenet.encoded`, and an `encoding` that
names the codec and its parameters: `aes-gcm;key=2026-11`. What is inside, once decoded, is a serialized `Payload` again: the
value itself, or the payload of the next codec.

A text that has to stay a text (the message of a progress report) becomes `encoded[aes-gcm;key=2026-11]:<base64>`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from nervenet.errors import NervenetError
from nervenet.records import NOTHING, Payload

CONTENT_TYPE: Final = "application/vnd.nervenet.encoded"
FAILURE_TYPE: Final = "application/vnd.nervenet.failure"
"""Content type of the details of an encoded failure: inside is a serialized Failure with message, stack trace and details."""

_FORMS: Final = {1: "json", 3: "text", 4: "bytes", 5: "uri"}
_NUMBERS: Final = {form: number for number, form in _FORMS.items()}
_VALUE, _CONTENT_TYPE, _ENCODING, _SHA256 = 2, 6, 7, 9
_ABOUT: Final = range(6, 10)
_MARK: Final = bytes((_CONTENT_TYPE << 3 | 2, len(CONTENT_TYPE))) + CONTENT_TYPE.encode()
_TOKEN: Final = re.compile(r"encoded\[([a-z0-9-]+(?:;[^\]\s]{1,200})?)\]:([A-Za-z0-9_-]*={0,2})")


class CodecError(NervenetError, ValueError):
    """A value cannot be decoded here: its key or its codec is missing, or it was changed. The message says what to set."""


# ── fields of a protobuf message ─────────────────────────────────────────────────────────────────────────────────────


def field(number: int, data: bytes) -> bytes:
    """A field with a length, as protobuf writes it."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def fields(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, value and whole bytes of each field. A value that is a number has no bytes. Raises CodecError."""
    at, end = 0, len(data)
    while at < end:
        begin = at
        tag, at = _read_varint(data, at)
        kind = tag & 7
        value = b""
        if kind == 0:
            _, at = _read_varint(data, at)
        elif kind == 2:
            size, at = _read_varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            at += {1: 8, 5: 4}.get(kind, end + 1)
        if at > end:
            raise CodecError("what was decoded is no message: it ends too early")
        yield tag >> 3, value, data[begin:at]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise CodecError("what was decoded is no message: a number does not end")


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def serialized(payload: Payload) -> bytes:
    """A payload as the contract's `Payload`."""
    form, data, about = payload
    return about if form == "none" else field(_NUMBERS[form], data) + about


def parsed(data: bytes) -> Payload:
    """The payload of a serialized `Payload`. Raises CodecError."""
    form, body, about = "none", b"", b""
    for number, value, whole in fields(data):
        if number in _FORMS:
            form, body = _FORMS[number], value
        elif number in _ABOUT:
            about += whole
        elif number == _VALUE:
            raise CodecError("what was decoded holds a google.protobuf.Value: write `json` instead")
    return NOTHING if form == "none" else Payload(form, body, about)


def wrapped(encoding: str, data: bytes, fingerprint: bytes = b"") -> Payload:
    """An encoded payload."""
    about = _about_of(encoding)
    return Payload("bytes", data, about + field(_SHA256, fingerprint) if fingerprint else about)


@lru_cache(maxsize=64)
def _about_of(encoding: str) -> bytes:
    return _MARK + field(_ENCODING, encoding.encode())


def is_encoded(payload: Payload) -> bool:
    """Whether a codec has made this payload."""
    return bool(payload.about) and payload.form == "bytes" and payload.about.startswith(_MARK)


def encoding_of(payload: Payload) -> str:
    """The `encoding` of a payload."""
    return _encoding_in(payload.about)


@lru_cache(maxsize=256)  # nearly all payloads of a process have the same
def _encoding_in(about: bytes) -> str:
    return _field_of(about, _ENCODING).decode(errors="replace")


def fingerprint_of(payload: Payload) -> bytes:
    """What stands for the value of an encoded payload: the same for the same value and purpose. Empty: it has none."""
    return _field_of(payload.about, _SHA256) if is_encoded(payload) else b""


def _field_of(about: bytes, wanted: int) -> bytes:
    try:
        return next((value for number, value, _ in fields(about) if number == wanted), b"")
    except CodecError:
        return b""


def describe(encoding: str) -> str:
    """An encoding in words: `encrypted (key id 2026-11)`, or `encoded (gzip)`."""
    name, _, parameters = encoding.partition(";")
    if name == "blob":
        return "in the blob store"
    if name == "aes-gcm":
        return f"encrypted (key id {parameters.removeprefix('key=')})"
    return f"encoded ({encoding})"


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(payload: Payload) -> str:
    """An encoded payload as a text."""
    return f"encoded[{encoding_of(payload)}]:{base64.urlsafe_b64encode(payload.data).decode()}"


def texts_in(text: str) -> Iterator[tuple[str, Payload]]:
    """Each encoded text within a text, and its payload."""
    for found in _TOKEN.finditer(text):
        try:
            yield found[0], wrapped(found[1], base64.urlsafe_b64decode(found[2]))
        except ValueError:
            continue


def hidden(text: str) -> str:
    """A text for people without a key: each encoded part in words."""
    return _TOKEN.sub(lambda found: describe(found[1]), text) if "encoded[" in text else text
