# SPDX-License-Identifier: Apache-2.0
"""Small words: spans of time, ages, moments, cleaned text, payloads in one line.

`View` says for whom a text is: on a terminal times are ages and long prose is cut; piped, everything is exact and whole. It carries the moment of "now", so that rendering is a pure function of the message and the view.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from nervenet.codecs.layout import CONTENT_TYPE, describe, hidden
from nervenet.v1 import common_pb2 as common
from nervenet.wire.waits import failure_words
from nervenet.wire.waits import iso as iso

DASH = "–"


@dataclass(frozen=True, slots=True)
class View:
    """`people`: a terminal reads it; `width`: of that terminal, 0 = as wide as it gets."""

    people: bool
    width: int
    now_ms: int

    def when(self, time: Timestamp) -> str:
        """An age for people (`4 min`), ISO 8601 in UTC for programs."""
        ms = millis(time)
        if not ms:
            return DASH
        return span((self.now_ms - ms) / 1000) if self.people else iso(ms)

    def ago(self, time: Timestamp) -> str:
        found = self.when(time)
        return f"{found} ago" if self.people and found != DASH else found


def millis(time: Timestamp | Duration) -> int:
    """0 where it is not set."""
    return time.seconds * 1000 + time.nanos // 1_000_000


def clock(ms: int) -> str:
    """`09:12:04.131`, in the reader's own time zone."""
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%H:%M:%S.") + f"{ms % 1000:03d}"


def span(seconds: float) -> str:
    """`0.38 s`, `9.1 s`, `4 min`, `2 h`, `7 d`: what one reads at a glance."""
    seconds = max(seconds, 0.0)
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} d"


def took(start: Timestamp, end: Timestamp) -> str:
    """From start to end, a dash where one of them is missing."""
    return span((millis(end) - millis(start)) / 1000) if millis(start) and millis(end) else DASH


def count(number: float) -> str:
    """`980`, `1.2k`, `3.4M`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:g}"


def plural(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


# Controls, and the marks that turn the direction of text around: a failure's message must not repaint the terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def clean(text: str) -> str:
    """Text from elsewhere as one harmless line."""
    text = hidden(text)
    if text.isprintable():  # none of them is printable
        return text.strip()
    return _CONTROL.sub(" ", text).strip()


_CODE = re.compile(r"if ctx\.patched\([^)]*\): …")


def paragraph(text: str, view: View) -> list[str]:
    """Prose in lines that a terminal need not break in the middle of a word, or of code to be copied; one line for
    everybody else."""
    if not view.people or not view.width:
        return [text]
    whole = _CODE.sub(lambda code: code[0].replace(" ", "\xa0"), text)
    lines = textwrap.wrap(whole, view.width, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines] or [""]


def clipped(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def plain(message: common.Payload) -> Any:
    """The JSON of a `value`, which knows only floats: whole numbers are shown as the integers that they were."""
    return _whole(json_format.MessageToDict(message.value))


def _whole(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _whole(each) for key, each in found.items()}
    if isinstance(found, list):
        return [_whole(each) for each in found]
    return int(found) if isinstance(found, float) and found.is_integer() and abs(found) < 2**53 else found


def payload(message: common.Payload) -> str:
    """A payload as one line; JSON as it was written."""
    form = message.WhichOneof("body")
    if form == "json":
        return clean(message.json)
    if form == "value":
        return clean(json.dumps(plain(message), ensure_ascii=False))
    if form == "text":
        return clean(message.text)
    if form == "uri":
        return clean(message.uri)
    if form == "data":
        return encoded_words(message) or f"({_size(len(message.data))} of bytes)"
    return f"({_size(message.size_bytes)})" if message.size_bytes else "null"


def encoded_words(message: common.Payload) -> str:
    """What a payload is that this process cannot decode: `encrypted (key id 2026-11)`. Empty: it is not encoded."""
    return describe(message.encoding) if message.content_type == CONTENT_TYPE else ""


def _size(of_bytes: int) -> str:
    from nervenet.payloads import format_size  # pydantic: a tenth of a second that most commands do without

    return format_size(of_bytes)


def value(message: common.Payload) -> str | bytes:
    """A payload for a program's standard input: JSON text, text or the very bytes."""
    form = message.WhichOneof("body")
    if form == "data":
        return encoded_words(message) or message.data
    if form == "value":
        return json.dumps(plain(message), ensure_ascii=False)
    return getattr(message, form) if form else "null"


def scalar(message: common.Payload) -> str:
    """A payload that may be a JSON string without its quotes, for sentences."""
    text = payload(message)
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return clean(found) if isinstance(found, str) else text


def failure(message: common.Failure) -> str:
    """`RateLimited: 429 from api`."""
    return clean(failure_words(message))


def proto_json(message: Any) -> str:
    """The contract's message in proto JSON, one line."""
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False)
