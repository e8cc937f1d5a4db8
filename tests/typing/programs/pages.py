# SPDX-License-Identifier: Apache-2.0
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
    return [f"line {n} of page {page.number}".encode() for n in range(1, page.line_count + 1)]


def ocr_page(line: bytes) -> str:
    return line.decode()
