# SPDX-License-Identifier: Apache-2.0
"""Colour, terminals, encodings: symbol and colour on a terminal, plain text in a pipe, ASCII where nothing else fits."""

from __future__ import annotations

import io
import os
import pty
import re
import resource
import subprocess
import sys

import pytest
from rich.text import Text

from nervenet.cli.render.screen import Screen
from nervenet.cli.render.table import Column, table
from nervenet.cli.render.text import View
from nervenet.v1 import common_pb2
from tests.support.environment import NERVENET, clean_environment

LINE = Text.assemble(("✓ done", "green"), "  → next…")


def printed(monkeypatch: pytest.MonkeyPatch, *, encoding: str = "utf-8", color: str = "auto") -> bytes:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    Screen(color=color).lines([LINE])  # type: ignore[arg-type]
    sys.stdout.flush()
    return raw.getvalue()


def test_a_pipe_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch) == "✓ done  → next…\n".encode()


def test_colour_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert printed(monkeypatch, color="always") == "\x1b[32m✓ done\x1b[0m  → next…\n".encode()


def test_an_ascii_locale_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, encoding="ascii") == b"+ done  -> next...\n"
    monkeypatch.setenv("TERM", "xterm-256color")
    assert printed(monkeypatch, encoding="ascii", color="always") == b"\x1b[32m+ done\x1b[0m  -> next...\n"


def test_a_value_is_utf8_whatever_the_locale_says(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    screen = Screen()
    screen.payload(common_pb2.Payload(json='"ä"'))
    screen.payload(common_pb2.Payload(data=b"\x00\xff"))
    assert raw.getvalue() == '"ä"\n'.encode() + b"\x00\xff"


def test_help_and_errors_in_an_ascii_locale() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}

    def said(*line: str) -> str:
        done = subprocess.run([*NERVENET, *line], env=env, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "usage: nervenet COMMAND ..." in said("--help")
    assert "usage: nervenet COMMAND ..." in said()
    assert "CAP,..." in said("agent", "--help")
    assert "\\u" not in said("list", "--address", "127.0.0.1:1")


def on_terminal(*line: str, **environment: str) -> str:
    """What a person sees on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    env = clean_environment()
    env |= {"TERM": "xterm-256color", "COLUMNS": "80", **environment}
    process = subprocess.Popen([*NERVENET, *line], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:  # the other side is closed
        pass
    process.wait(30)
    os.close(ours)
    return seen.decode()


def test_a_terminal_gets_colour_unless_it_does_not_want_any() -> None:
    assert "\x1b[36mlegal" in on_terminal("config", "show", "--namespace", "legal")
    assert "\x1b[" not in on_terminal("config", "show", "--namespace", "legal", NO_COLOR="1")
    assert "\x1b[" not in on_terminal("config", "show", "--namespace", "legal", "--color", "never")


def test_a_long_value_stays_on_its_line() -> None:
    seen = on_terminal(
        "config", "show", "--address", ",".join(f"node-{n}.example:7700" for n in range(20)), NO_COLOR="1"
    )
    address = next(line for line in seen.splitlines() if line.startswith("address"))
    assert len(address) <= 80 and "…" in address
    assert "node-19" in on_terminal("config", "show", "--wide", "--address", "node-1:1," * 20 + "node-19:1")


def test_help_is_there_at_once() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*NERVENET, "--help"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.25, f"nervenet --help took {used:.2f} s of CPU: what is imported too early?"


def test_a_table_with_empty_styled_cells_on_a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("A"), Column(""), Column("B"), Column(""))
    row = (Text("a", "green"), Text("", "red"), Text.assemble(("━━", ""), ("··", "yellow")), Text("  ", "red"))
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    Screen(color="always").lines(table(columns, [row], View(True, 100, 0)))
    sys.stdout.flush()
    seen = re.sub(r"\x1b\[[0-9;]*m", "", raw.getvalue().decode())
    assert [line.split() for line in seen.splitlines()] == [["A", "B"], ["a", "━━··"]]


def test_commands_that_only_look_do_not_load_what_they_do_not_need() -> None:
    """Somebody who types commands pays for every import each time: pydantic costs a tenth of a second."""
    heavy = "{'pydantic', 'redis', 'jsonschema', 'ruamel', 'yaml', 'cryptography', 'jwt', 'opentelemetry', 'urllib.request'}"
    loads = "import sys, nervenet.client.raw\nfrom nervenet.cli.commands import listing, show, top\n"
    found = subprocess.run(
        [sys.executable, "-c", f"{loads}print(sorted({heavy} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "[]\n"
