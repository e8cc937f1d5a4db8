# SPDX-License-Identifier: Apache-2.0
"""The Lua scripts of the data plane: the files in `streams/scripts/`, each with its keys, arguments and answers."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from nervenet.redis_link.script import LuaScript

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["packaged_scripts"]


def packaged_scripts() -> Iterable[LuaScript]:
    """Every script of the data plane, in the order of the names. A script has the name of its file without `.lua`."""
    folder = files("nervenet.streams").joinpath("scripts")
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".lua"):
            yield LuaScript(file.name.removesuffix(".lua"), file.read_text(encoding="utf-8"))
