# SPDX-License-Identifier: Apache-2.0
"""The page of workflows as data: its files, and every command in its order on one mesh."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import blocks, check, commands
from tests.support.dev import Dev
from tests.support.environment import ROOT

PAGE = ROOT / "docs/howto/declared.md"


def tell(folder: Path) -> None:
    for block in blocks(PAGE):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
    with Dev(folder, (folder / "shop.py").read_text(encoding="utf-8"), "--no-reload") as shop:
        typed = commands(PAGE)
        assert len(typed) > 10
        for command in typed:
            check(command, folder, shop.address)
