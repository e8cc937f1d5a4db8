# SPDX-License-Identifier: Apache-2.0
"""Where text goes: data on stdout, everything else on stderr.

Hides colour (a terminal, `--color`, NO_COLOR), locales that know only ASCII, quiet mode and the live line. What is
printed is never wrapped, so a line stays a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

from rich.console import Console
from rich.text import Text

from nervenet.cli.ascii import encoding_of, fitting
from nervenet.cli.render.plain_json import plain, plain_json
from nervenet.cli.render.text import View, value
from nervenet.clock import SYSTEM
from nervenet.v1 import common_pb2 as common

_COMMAND = "  → "


class Screen:
    """Both streams of a command. `json` and `quiet` as given on the command line."""

    def __init__(
        self,
        *,
        color: Literal["auto", "always", "never"] = "auto",
        json: bool = False,
        quiet: bool = False,
        wide: bool = False,
    ) -> None:
        self.json, self.quiet, self.wide = json, quiet, wide
        self._out, self._err = _console(sys.stdout, color), _console(sys.stderr, color)
        self._live = False

    @property
    def interactive(self) -> bool:
        """Whether a person can answer."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def animated(self) -> bool:
        """Whether the live line is shown."""
        return self._err.is_terminal and not (self.quiet or self.json)

    def view(self) -> View:
        """How text on stdout is shown, as of now."""
        people = sys.stdout.isatty()
        return View(people=people, width=self._out.width if people and not self.wide else 0, now_ms=SYSTEM.now_ms())

    def view_of_notes(self) -> View:
        """How text on stderr is shown, as of now."""
        people = self._err.is_terminal
        return View(people=people, width=self._err.width if people and not self.wide else 0, now_ms=SYSTEM.now_ms())

    def lines(self, lines: Iterable[Text | str]) -> None:
        """Print data."""
        self._clear()
        out = self._out
        if out.is_terminal or out.color_system is not None:
            for line in lines:
                _print(out, line)
        else:  # nothing but text: rich would take a millisecond for each line
            encoding = encoding_of(out.file)
            out.file.writelines(f"{fitting(_plain(line), encoding)}\n" for line in lines)
        out.file.flush()

    def note(self, *lines: Text | str) -> None:
        """Print a comment for people."""
        self._clear()
        if not (self.quiet or self.json):
            for line in lines:
                self._say(line)

    def complain(self, line: Text) -> None:
        """Print what people must know even with `--quiet`."""
        self._clear()
        self._say(line)

    def _say(self, line: Text | str) -> None:
        said = Text(line) if isinstance(line, str) else line
        for part in _folded(said, self._err) if self._err.is_terminal and not self.wide else [said]:
            _print(self._err, part)

    def message(self, message: object) -> None:
        """Print a message of the contract, as one line of plain JSON."""
        self._raw(plain_json(message))

    def rows(self, rows: Iterable[object], answer: Any, *lists: str) -> None:
        """Print the rows of an answer, an object in each line. What the answer has beside its `lists` (the token of the
        next page, counts) is one object on stderr."""
        for row in rows:
            self._raw(json.dumps(row, ensure_ascii=False) if isinstance(row, dict) else plain_json(row))
        rest = type(answer)()
        rest.CopyFrom(answer)
        for name in lists:
            rest.ClearField(name)
        if not self.quiet and rest.ListFields():
            self._clear()
            self._err.file.write(json.dumps(plain(rest), ensure_ascii=False) + "\n")
            self._err.file.flush()

    def verbatim(self, text: str) -> None:
        """Print data that is JSON already."""
        self._raw(text)

    def payload(self, message: common.Payload) -> None:
        """Print a value for a program: its JSON text as it was written, or its bytes."""
        found = value(message)
        if isinstance(found, bytes):
            self._clear()
            sys.stdout.flush()
            sys.stdout.buffer.write(found)
            sys.stdout.buffer.flush()
        else:
            self._raw(found)

    def live(self, line: Text) -> None:
        """Show one line at the bottom of a terminal, which the next one replaces. Nothing without a terminal."""
        if self.animated:
            line.truncate(self._err.width - 1, overflow="ellipsis")
            self._err.file.write("\r\x1b[K")
            self._err.print(_fitting(self._err, line), end="", soft_wrap=True)
            self._err.file.flush()
            self._live = True

    @contextmanager
    def full(self) -> Iterator[None]:
        """While the block runs, `frame` has the whole terminal; what was there before comes back."""
        self._out.file.write("\x1b[?1049h\x1b[?25l")
        try:
            yield
        finally:
            self._out.file.write("\x1b[?25h\x1b[?1049l")
            self._out.file.flush()

    def frame(self, lines: Iterable[Text]) -> None:
        """Draw these lines from the top of the terminal."""
        self._out.file.write("\x1b[H")
        for line in lines:
            line.truncate(self._out.width, overflow="ellipsis")
            _print(self._out, line, end="\x1b[K\n")
        self._out.file.write("\x1b[J")
        self._out.file.flush()

    @property
    def height(self) -> int:
        """Lines of the terminal."""
        return self._out.height

    def ask(self, question: str) -> str:
        """Ask on stderr and return what the person types, so that stdout stays data."""
        self._clear()
        _print(self._err, question, end="")
        self._err.file.flush()
        return sys.stdin.readline().strip()

    def _raw(self, text: str) -> None:
        """Data that must arrive as it is: UTF-8, whatever the locale says."""
        self._clear()
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass") + b"\n")
        sys.stdout.buffer.flush()

    def _clear(self) -> None:
        if self._live:
            self._err.file.write("\r\x1b[K")
            self._err.file.flush()
            self._live = False


def _console(stream: IO[str], color: str) -> Console:
    on = color == "always" or (color == "auto" and stream.isatty() and not os.environ.get("NO_COLOR"))
    return Console(
        file=stream,
        force_terminal=True if color == "always" else None,
        color_system="auto" if on else None,
        no_color=not on,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _folded(line: Text, console: Console) -> list[Text]:
    """Lines that fit, broken between words; a command (`→ nervenet …`) stays in one, so that it can be copied."""
    if line.cell_len <= console.width:
        return [line]
    words, arrow, _ = line.plain.partition(_COMMAND)
    if arrow and words.strip():
        first, rest = line.divide([len(words)])
        return [*_folded(first, console), rest]
    if arrow or max(map(len, words.split()), default=0) > console.width:
        return [line]
    folded = list(line.wrap(console, console.width))
    for part in folded:
        part.rstrip()
    return folded


def _plain(line: Text | str) -> str:
    return line if isinstance(line, str) else line.plain


def _print(console: Console, line: Text | str, end: str = "\n") -> None:
    console.print(_fitting(console, Text(line) if isinstance(line, str) else line), soft_wrap=True, end=end)


def _fitting(console: Console, line: Text) -> Text:
    """The line in what the stream's encoding can say."""
    encoding = encoding_of(console.file)
    if fitting(line.plain, encoding) == line.plain:
        return line
    shown = Text()
    for part in line.divide([at for span in line.spans for at in (span.start, span.end)]):
        shown.append(fitting(part.plain, encoding), style=part.spans[0].style if part.spans else part.style)
    return shown
