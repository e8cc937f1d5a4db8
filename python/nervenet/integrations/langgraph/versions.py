# SPDX-License-Identifier: Apache-2.0
"""Which versions of LangGraph the integration supports, and the sentence for any other one."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from nervenet.errors import NervenetError

__all__ = ["UnsupportedLangGraph", "require_langgraph"]

LOWEST = (1, 0, 10)
BELOW = (2,)


class UnsupportedLangGraph(NervenetError, ImportError):
    """LangGraph is not installed, or its version is outside the supported range. The message has the command that
    installs one."""


def require_langgraph() -> None:
    """Raises `UnsupportedLangGraph` if LangGraph is missing, or its version is outside the range of the extra
    `nervenet[langgraph]`."""
    try:
        found = version("langgraph")
    except PackageNotFoundError:
        raise UnsupportedLangGraph(
            "nervenet.integrations.langgraph needs LangGraph. Install it: pip install 'nervenet[langgraph]'"
        ) from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", found.partition("+")[0])[:3])
    if not LOWEST <= numbers < BELOW:
        lowest, below = (".".join(map(str, each)) for each in (LOWEST, BELOW))
        raise UnsupportedLangGraph(
            f"nervenet.integrations.langgraph supports LangGraph {lowest} and later, below {below}; {found} is installed. "
            "Install a supported one: pip install 'nervenet[langgraph]'"
        )
