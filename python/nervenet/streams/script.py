# SPDX-License-Identifier: Apache-2.0
"""A Lua script as a value: its text and the name (sha1) that Redis knows it by."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable

__all__ = ["Script", "packaged_scripts"]


class Script:
    """`Script("journal_append")` is the text of `streams/scripts/journal_append.lua`; `source` gives another text."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: str | None = None) -> None:
        self.name = name
        self.source = source if source is not None else (_folder().joinpath(f"{name}.lua")).read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<Script {self.name} {self.sha[:8]}>"


def packaged_scripts() -> Iterable[Script]:
    """Every script that ships with the package, by name."""
    folder = _folder()
    if not folder.is_dir():
        return
    for name in sorted(entry.name for entry in folder.iterdir()):
        if name.endswith(".lua"):
            yield Script(name.removesuffix(".lua"))


def _folder() -> Traversable:
    return files("nervenet.streams").joinpath("scripts")
