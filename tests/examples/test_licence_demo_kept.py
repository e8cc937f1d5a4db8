# SPDX-License-Identifier: Apache-2.0
"""`make demo KEEP=1` as somebody at a terminal uses it: each command that it prints is pasted, then Ctrl-C ends it with 0."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest

from tests.examples.test_licence_demo_run import left_running
from tests.support.environment import ROOT, clean_environment
from tests.support.terminal import on_a_terminal

ENVIRONMENT = Path(sys.prefix)
BECOME_ITS_SHELL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""The session leader of the terminal on standard input: Ctrl-C of that terminal is then a signal to its processes."""


class Terminal:
    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", BECOME_ITS_SHELL, *command],
            cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.said = ""

    def read_until(self, end: str, within: float) -> str:
        deadline = time.monotonic() + within
        while end not in self.said:
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None or self._read(), self.said
            if not self._read():
                time.sleep(0.05)
        return self.said

    def _read(self) -> bool:
        try:
            part = os.read(self._ours, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):
            return False
        self.said += part.replace("\r\n", "\n")
        return bool(part)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def ended(self) -> int:
        deadline = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read()
            time.sleep(0.05)
        return self.process.wait(1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def escaped(command: str) -> str:
    """What follows `resolve`, as the page has it."""
    return html.escape(command.partition(" resolve ")[2])


def _answer(resolve: str) -> None:
    """At a terminal the command asks for what decides."""
    person = Terminal(["bash", "-c", resolve], clean_environment(TERM="xterm", NO_COLOR="1", COLUMNS="300"))
    try:
        person.read_until("reject", 20)
        person.type("trust the files\n\n")
        assert person.ended() == 0, person.said
    finally:
        person.close()


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("make"), reason="needs make and pseudo-terminals")
def test_what_a_kept_demo_prints_works_when_pasted_and_ctrl_c_ends_it_well(tmp_path: Path) -> None:
    mark = f"licence-demo-{uuid.uuid4().hex}"
    env = clean_environment(KEEP="1", KILL="", DEMO_MARK=mark, TERM="xterm", NO_COLOR="1", COLUMNS="300")
    arguments = f"--only pluggy,prometheus_client --folder {tmp_path}"
    make = ["make", "-o", f"{ENVIRONMENT}/.ready", "demo", f"VENV={ENVIRONMENT}", f"ARGS={arguments}"]
    terminal = Terminal(make, env)
    try:
        said = terminal.read_until("/GetWorkflow\n", 90)
        commands = re.findall(r"^  (\S*/(?:nervenet|grpcurl) .*)$", said, re.MULTILINE)
        assert [line.split()[1] for line in commands] == [
            "top",
            "escalations",
            "escalations",
            "show",
            "agents",
            "-plaintext",
        ]
        found = re.search(r"Its dashboard: (http://\S+/)$", said, re.MULTILINE)
        assert found is not None, said
        dashboard = httpx.get(found[1])
        assert dashboard.status_code == 200 and "<script" in dashboard.text, dashboard.text
        report = (tmp_path / "report.html").read_text()
        assert f'<a href="{found[1]}">' in report and f"resolve {escaped(commands[2])}<" in report
        _, listed, resolve, show, agents, grpcurl = commands
        for line, shown in (
            (listed, "prometheus_client: declared"),
            (show, "audit-pluggy"),
            (agents, "classify-large"),
            (grpcurl, "WORKFLOW_STATE_SUCCEEDED"),
        ):
            code, answer = on_a_terminal(line, ROOT, clean_environment())
            assert code == 0 and shown in answer, f"$ {line}\n{answer}"
        _answer(resolve)
        top = subprocess.run(
            ["timeout", "-s", "INT", "8", "bash", "-c", f"exec {commands[0]} --json"],
            cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "classify-large" in top.stdout, top.stdout + top.stderr
        terminal.type("\x03")
        assert terminal.ended() == 0, terminal.said
    finally:
        terminal.close()
    assert "nothing is left running" in terminal.said
    assert "Error" not in terminal.said, "make has nothing to complain about"
    assert not list(left_running(mark))
