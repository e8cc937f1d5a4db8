# SPDX-License-Identifier: Apache-2.0
"""Pages to read: a line is a strip of black and white, its letters in bars."""

import time
from dataclasses import dataclass


@dataclass
class Page:
    number: int
    line_count: int


@dataclass
class Text:
    number: int
    lines: list[str]


def lines(page: Page) -> list[bytes]:
    """What the scanner saw of each line."""
    return [_bars(f"page {page.number}, line {n}") for n in range(1, page.line_count + 1)]


def ocr_page(line: bytes) -> str:
    """Read the bars of one line."""
    time.sleep(0.004)  # a model would take its time
    return bytes(int(line[at : at + 8], 2) for at in range(0, len(line), 8)).decode()


def _bars(words: str) -> bytes:
    return "".join(f"{byte:08b}" for byte in words.encode()).encode()
