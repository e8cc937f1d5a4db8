# SPDX-License-Identifier: Apache-2.0
"""The most likely mistakes, made on a real mesh: what a user sees is what the page shows, word for word."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

from nervenet.dev.servers import free_port
from tests.docs.blocks import Command, blocks, check, commands, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT

PAGE = ROOT / "docs/errors.md"


def said(text: str) -> str:
    """Without hashes and numbers drawn by chance, too."""
    return steady(re.sub(r"\b1\.\d{6,}", "CHANCE", re.sub(r"\b[0-9a-f]{12}\b", "HASH", text)))


def told(command: Command, folder: Path, address: str) -> None:
    """On a port that is free here, in a folder that the page calls /home/ana."""
    line = command.line.replace("localhost:7799", f"localhost:{free_port()}")
    line = line.replace("dev app.py", "dev app.py --port 0")
    form = partial(_said_in, folder)
    check(command, folder, address, line=line, form=form, again=" show " in line)


def _said_in(folder: Path, text: str) -> str:
    return said(text.replace(str(folder), "/home/ana"))


def tell(folder: Path) -> None:
    mesh, alone = folder / "mesh", folder / "alone"
    mesh.mkdir()
    alone.mkdir()
    (mesh / "book.json").write_text(json.dumps(["x" * 2_000_000]))
    wrong = blocks(PAGE, "py")
    with Dev(mesh, blocks(PAGE, "python")[0].text) as dev:
        for command in commands(PAGE):
            if command.line == "nervenet dev app.py":
                (alone / "app.py").write_text(wrong.pop(0).text)
                told(command, alone, dev.address)
            else:
                told(command, mesh, dev.address)
    assert not wrong
    numbered = re.findall(r"^## (\d+)\.", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in numbered] == [*range(1, 11)]
