# SPDX-License-Identifier: Apache-2.0
"""The code blocks of a Markdown file, the commands of a console block, and what of their output is the same every time."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
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


def environment(**settings: str) -> dict[str, str]:
    """That of somebody who set nothing but this, with `nervenet` in their PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NERVENET_", "OTEL_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | settings


def on_a_terminal(line: str, cwd: Path, env: Mapping[str, str], within: float = 60, stdin: str = "") -> tuple[int, str]:
    """Run a shell command as somebody at a terminal without colours sees it: its exit code and all that it wrote."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    environment = {**env, "COLUMNS": "110", "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        line, shell=True, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    assert process.stdin is not None
    with process.stdin as keyboard:
        keyboard.write(stdin.encode())  # fits in the pipe
    said, deadline = b"", time.monotonic() + within
    try:
        while time.monotonic() < deadline:
            select.select([ours], [], [], 0.5)
            try:
                part = os.read(ours, 65536)
            except BlockingIOError:
                continue
            except OSError:  # the other side is closed
                break
            if not part:
                break
            said += part
        return process.wait(max(deadline - time.monotonic(), 0.1)), _seen(said.decode())
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _seen(said: str) -> str:
    """What stands on the screen at the end: a line that was written over is gone."""
    return re.sub(r"[^\n]*\r\x1b\[K", "", said.replace("\r\n", "\n"))


def banners(log: Path) -> list[str]:
    """What `nervenet dev` said each time it was ready, as if it listened where it does unless told otherwise."""
    said = re.sub(r" --address \S+", "", log.read_text(encoding="utf-8"))
    return re.findall(r"^nervenet \d.*\n(?:  .*\n)+Reloads .*$", said, re.MULTILINE)


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
    (r"[━┄┥]+", "BAR"),
    (r"\d+\.\d\d(?= )", "AT"),
    (r"[ \t]+", " "),
    (r" $", ""),
)


def steady(text: str) -> str:
    """The text without what differs from run to run: times, ids, ports, widths."""
    for pattern, word in _CHANGES:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()
