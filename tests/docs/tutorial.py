# SPDX-License-Identifier: Apache-2.0
"""The tutorial from top to bottom, as a reader does it: files saved, commands typed, the mesh killed and started again."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tests.docs.blocks import Block, Command, banners, blocks, commands, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT, clean_environment
from tests.support.terminal import on_a_terminal

PAGE = ROOT / "docs/tutorial.md"


class Reader:
    """Two terminals: one for `nervenet dev`, one for everything else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dev: Dev | None = None
        self.told: dict[str, str] = {}
        self._saved: dict[str, int] = {}
        """Python files that the mesh has not reloaded yet, and where its log ended when each was saved."""

    def save(self, file: str, text: str) -> None:
        """Save a file. Those of one step are saved together, so the mesh reloads once."""
        if self.dev is not None and file.endswith(".py"):
            self._saved[file] = len(self.dev.logs())
        (self.folder / file).write_text(text, encoding="utf-8")

    def reload(self) -> None:
        """Wait until the mesh has reloaded all that was saved: it is away for a moment."""
        dev = self.dev
        while dev is not None and self._saved:
            file, at = self._saved.popitem()
            done = re.compile(rf"^.*\b{re.escape(file)}\b.* changed: reloaded", re.MULTILINE)
            dev.wait_for(partial(_found, done, dev, at), f"reloaded {file}")

    def type(self, command: Command) -> None:
        if command.line.startswith("nervenet dev"):
            self._run_dev(command)
            return
        assert self.dev is not None
        if not command.line.startswith("python test_"):  # a test needs no mesh
            self.reload()
        ours = clean_environment(NERVENET_ADDRESS=self.dev.address)
        code, said = on_a_terminal(command.line, self.folder, ours, stdin="yes\n")
        assert code == (7 if "--timeout" in command.line else 0), (
            f"$ {command.line}\n{said}\n{self.dev.log.read_text()}"
        )
        self.told[command.line] = said
        if command.shows:
            assert _as_read(said) == _as_read(command.shows), f"$ {command.line}\n{said}"

    def _run_dev(self, command: Command) -> None:
        if self.dev is None:
            self.dev = dev = Dev(self.folder, (self.folder / "desk.py").read_text(), app="desk.py")
            before = 0
        else:
            dev = self.dev
            dev.wait()  # it was killed
            before = len(banners(dev.log))
        dev.start()
        dev.wait_for(lambda: len(banners(dev.log)) > before, "banner")
        said = banners(dev.log)[-1]
        assert steady(said) == steady(command.shows), f"$ {command.line}\n{said}"


def _found(pattern: re.Pattern[str], dev: Dev, at: int) -> bool:
    """Whether the log has it behind that place."""
    return pattern.search(dev.logs(), at) is not None


def _as_read(text: str) -> str:
    """What is typed at a prompt is on the reader's screen, but not in a pipe."""
    return steady(re.sub(r"\(yes, no\) (yes)?\n?", "(yes, no)\n", text))


def tell(folder: Path) -> None:
    reader = Reader(folder)
    try:
        for _, step in sorted(_steps(), key=lambda step: step[0]):
            if isinstance(step, Block):
                reader.save(step.file, step.text)
            else:
                reader.type(step)
        reader.reload()
    finally:
        if reader.dev is not None:
            reader.dev.__exit__(None, None, None)
    shown = reader.told["nervenet show second"]
    assert "adopted once" in shown
    assert "attempt 2" in shown
    assert len(re.findall(r"attempt \d", shown)) == 1, "look_up ran once"


def _steps() -> list[tuple[int, Block | Command]]:
    saved = [(block.line, block) for block in blocks(PAGE) if block.file]
    typed = [(command.at, command) for command in commands(PAGE)]
    return [*saved, *typed]
