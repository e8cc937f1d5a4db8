# SPDX-License-Identifier: Apache-2.0
"""Text for streams whose encoding does not know all of our signs, as in the locale C.

A separate module because it must cost nothing: help and errors are printed without rich.
"""

from __future__ import annotations

from typing import IO

_SIGNS = str.maketrans({
    "●": "*", "✓": "+", "✗": "x", "–": "-", "…": "...", "→": "->", "≠": "!=", "⇄": "<>", "·": "-",
    "━": "=", "┥": "|", "┄": ".", "█": "#", "░": ":", "×": "x", "“": '"', "”": '"',
})  # fmt: skip


def encoding_of(stream: IO[str]) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def fitting(text: str, encoding: str) -> str:
    """The text, with signs that the encoding has."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_SIGNS).encode(encoding, "backslashreplace").decode(encoding)
    return text
