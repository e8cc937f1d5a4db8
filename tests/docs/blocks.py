# SPDX-License-Identifier: Apache-2.0
"""The code blocks of a Markdown file, the commands of a console block, and what of their output is the same every time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.environment import ROOT, clean_environment
from tests.support.terminal import on_a_terminal
from tests.support.waiting import HasLogs

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

OUTSIDE = ("make ", "export ", "nervenet dev", "nervenet node", "nervenet agent ")
"""Commands that set up a machine or a shell, or run until they are stopped: a story runs them in its own way."""

_FENCE = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """`file`: what the reader saves it as; such a block is no part of the page's one program."""

    language: str
    text: str
    line: int
    file: str = ""


class Command(NamedTuple):
    """A line behind `$ ` and the lines that the page shows below it."""

    line: str
    shows: str
    at: int
    """The line of the page on which its block begins."""


def blocks(page: Path, language: str = "") -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(match[1], match[3], text.count("\n", 0, match.start()) + 1, match[2] or "")
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language in ("", block.language)]


def save(files: Iterable[Block], folder: Path) -> None:
    """Save each block under the name that the page gives it; others are no files."""
    for block in files:
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


def program_of(page: Path) -> str:
    """The Python of the page that the reader does not save under a name."""
    return "\n".join(block.text for block in blocks(page, "python") if not block.file)


def commands(page: Path) -> list[Command]:
    """Of all console blocks of the page, in order. A comment behind two spaces and `#` is not part of a command."""
    found: list[Command] = []
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            line, _, shows = part.partition("\n")
            found.append(Command(re.sub(r"\s{2,}# .*$", "", line).strip(), shows, block.line))
    return found


def runs_on(command: Command) -> bool:
    return command.line.startswith(OUTSIDE)


def check(
    command: Command,
    folder: Path,
    address: str,
    *,
    line: str = "",
    form: Callable[[str], str] | None = None,
    again: bool = False,
    of: HasLogs | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Type a command in that folder, with the mesh at that address: it prints what the page shows.

    Args:
        line: What is typed, where that is not the line of the page.
        form: What is compared of both texts, `steady` of them if not told.
        again: The command only looks, so it is typed again until the mesh has come to where the page says that it is.
        of: Whose logs a failure shows.
        environment: Variables that the reader has set.
    """
    form = form or steady
    env, said = {**clean_environment(NERVENET_ADDRESS=address), **(environment or {})}, [""]

    def prints_it() -> bool:
        said[0] = on_a_terminal(line or command.line, folder, env)[1]
        return form(said[0]) == form(command.shows)

    end = time.monotonic() + (15 if again else 0)
    while not prints_it():
        logs = of.logs() if of else ""
        failure = f"$ {line or command.line}\n{said[0]}── the page has\n{command.shows}{logs}"
        assert time.monotonic() < end, failure
        time.sleep(0.2)


def banners(log: Path) -> list[str]:
    """What `nervenet dev` said each time it was ready, as if it listened where it does unless told otherwise."""
    said = re.sub(r" --address \S+", "", log.read_text(encoding="utf-8"))
    return re.findall(r"^nervenet \d.*\n(?:  .*\n)+Reloads .*$", said, re.MULTILINE)


_REFUSAL = re.compile(r"^nervenet: .*", re.MULTILINE | re.DOTALL)
"""What a command refuses, to the end of its output. It is folded to the width of the terminal, and the page does not fold it."""

_CHANGES = (
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d{3})?\b", "TIME"),
    (r"\d+(\.\d+)? (ms|s|min|h|d)\b( ago)?", "SPAN"),
    (r"-[a-z2-7]{8}\b", "-ID"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "UUID"),
    (r":\d{4,5}\b", ":PORT"),
    (r"[\w.-]+@[\w.-]+", "WHO"),
    (r"\b\d+\.\d+\.\d+\b", "VERSION"),
    (r"\bpid \d+", "pid N"),
    (r"\b\d+ %", "N %"),
    (r"[━┄┥·░]+", "BAR"),
    (r"\d+\.\d\d(?= )", "AT"),
    (r"[ \t]+", " "),
    (r" $", ""),
)


def steady(text: str) -> str:
    """The text without what differs from run to run: times, ids, ports, widths."""
    text = _REFUSAL.sub(lambda said: " ".join(said[0].split()), text)
    for pattern, word in _CHANGES:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()
