# SPDX-License-Identifier: Apache-2.0
"""The most likely mistakes, made on a real mesh: what a user sees is what the page shows, word for word."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from nervenet.dev.servers import free_port
from tests.docs.blocks import Command, blocks, commands, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT, clean_environment
from tests.support.terminal import on_a_terminal

PAGE = ROOT / "docs/errors.md"


def said(text: str) -> str:
    """Without hashes and numbers drawn by chance, too."""
    return steady(re.sub(r"\b1\.\d{6,}", "CHANCE", re.sub(r"\b[0-9a-f]{12}\b", "HASH", text)))


def told(command: Command, folder: Path, address: str, within: float = 10) -> None:
    """`show` is asked again until the mesh has come to where the page says that it is."""
    line = command.line.replace("localhost:7799", f"localhost:{free_port()}").replace(
        "dev app.py", "dev app.py --port 0"
    )
    deadline = time.monotonic() + within
    while True:
        _, found = on_a_terminal(line, folder, clean_environment(NERVENET_ADDRESS=address))
        if said(found.replace(str(folder), "/home/ana")) == said(command.shows):
            return
        assert " show " in line and time.monotonic() < deadline, f"$ {line}\n{found}── the page has\n{command.shows}"
        time.sleep(0.2)


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
