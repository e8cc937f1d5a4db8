# SPDX-License-Identifier: Apache-2.0
"""Write docs/reference/ from what the package says: docstrings, settings, the command line's help, the contract's comments.

    python tools/reference [FOLDER]     default: docs/reference
    python tools/reference --check      exit 1 if the committed pages are not fresh, or something public is undocumented

Why griffe and no documentation site: docs/decisions/0028-reference.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import commands
import contract
import python_api
import reasons
import settings

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs/reference"
MADE = "<!-- Made by tools/reference: change the docstrings, the settings, the help or the protos instead. -->"

PAGES = {
    "python.md": ("Python", python_api.page),
    "integrations.md": ("Integrations", python_api.integrations_page),
    "settings.md": ("Settings", settings.page),
    "errors.md": ("Reasons of refusals", reasons.page),
    "commands.md": ("Commands", commands.page),
    "contract.md": ("Contract", contract.page),
}


def pages() -> dict[str, str]:
    """Each page by its file name."""
    return {name: _tidy(f"# {title}\n{MADE}\n\n{page()}") for name, (title, page) in PAGES.items()}


def _tidy(text: str) -> str:
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def problems() -> list[str]:
    """What is undocumented, and which committed page differs from a fresh one."""
    stale = [
        f"docs/reference/{name} is stale: run make generate and commit the result"
        for name, text in pages().items()
        if (COMMITTED / name).read_text(encoding="utf-8") != text
    ]
    return [*python_api.undocumented(), *reasons.unlisted(), *stale]


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        found = problems()
        print("\n".join(found))
        return 1 if found else 0
    folder = Path(arguments[0]) if arguments else COMMITTED
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
