# SPDX-License-Identifier: Apache-2.0
"""The story of a deploy, as its page tells it: real processes, code that changes under a run, every output compared."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.blocks import Block, blocks, check, commands, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT

PAGE = ROOT / "docs/deploy-story.md"
OFTEN = ("nervenet show", "nervenet list", "nervenet replay")
"""Commands that only look: asked again until the mesh has come to where the page says that it is."""


def changed(source: str, diff: Block) -> str:
    """The source with a block of `diff` done to it."""
    lines = diff.text.splitlines()
    before = "\n".join(line[1:] for line in lines if line[0] in " -")
    after = "\n".join(line[1:] for line in lines if line[0] in " +")
    assert source.count(before) == 1, f"line {diff.line} does not fit"
    return source.replace(before, after)


def story(text: str) -> str:
    """What is the same every time. How often a run is adopted depends on which node learns first that the other goes."""
    return steady(re.sub(r" \(adopted \w+( times)?\)", "", text))


def tell(folder: Path) -> None:
    first, (insert, guard) = blocks(PAGE, "python")[0], blocks(PAGE, "diff")
    forgetful = changed(first.text, insert)
    deploys = [(insert.line, forgetful), (guard.line, changed(forgetful, guard))]
    here, beside = folder / "here", folder / "next"
    here.mkdir()
    beside.mkdir()
    (beside / "app.py").write_text(forgetful)
    with Dev(here, first.text) as dev:
        for command in commands(PAGE):
            # A change is deployed behind its block; of the first one, what is in another folder is asked before that.
            if deploys and command.at > deploys[0][0] and "../next" not in command.line:
                dev.app.write_text(deploys.pop(0)[1])
            looks = command.line.startswith(OFTEN)
            check(command, dev.folder, dev.address, form=story, again=looks, of=dev)
    assert not deploys
