# SPDX-License-Identifier: Apache-2.0
"""A Lua script as a value: its text and the name (sha1) that Redis knows it by."""

from __future__ import annotations

import hashlib

__all__ = ["LuaScript"]


class LuaScript:
    """`LuaScript("echo", "return ARGV[1]")`. The name is for people; Redis knows the script by `sha`."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<LuaScript {self.name} {self.sha[:8]}>"
