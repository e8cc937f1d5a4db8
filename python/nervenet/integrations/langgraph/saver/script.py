# SPDX-License-Identifier: Apache-2.0
"""The Lua scripts of the saver: the files in `scripts/`, each behind the text of `common.lua`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from nervenet.redis_link.script import LuaScript

__all__ = ["NAMES", "script"]

NAMES = ("copy", "delete", "delete_runs", "history", "load", "prune", "put", "put_writes")


@cache
def script(name: str) -> LuaScript:
    """The script with the name of its file."""
    folder = files("nervenet.integrations.langgraph.saver").joinpath("scripts")
    common, own = (folder.joinpath(f"{each}.lua").read_text(encoding="utf-8") for each in ("common", name))
    return LuaScript(f"checkpoints.{name}", common + own)
