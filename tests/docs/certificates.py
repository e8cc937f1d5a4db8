# SPDX-License-Identifier: Apache-2.0
"""docs/howto/certificates.md, as its reader does it: every command in its order."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import check, commands, steady
from tests.support.environment import ROOT

PAGE = ROOT / "docs/howto/certificates.md"


def tell(folder: Path) -> None:
    typed = commands(PAGE)
    assert len(typed) >= 5
    for command in typed:
        check(command, folder, "", form=lambda text: steady(text.replace(str(folder.resolve()), "/home/you")))
