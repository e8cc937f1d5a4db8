# SPDX-License-Identifier: Apache-2.0
"""LangGraph on nervenet.

    from nervenet.integrations.langgraph import NervenetSaver

    with NervenetSaver.from_url("redis://localhost:6379") as saver:
        graph = builder.compile(checkpointer=saver)

Each name is loaded at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervenet.integrations.langgraph.saver.background import CheckpointsUnavailable as CheckpointsUnavailable
    from nervenet.integrations.langgraph.saver.checkpointer import NervenetSaver as NervenetSaver

__all__ = ["CheckpointsUnavailable", "NervenetSaver"]

_HOME_OF = {"CheckpointsUnavailable": "saver.background", "NervenetSaver": "saver.checkpointer"}

if not TYPE_CHECKING:  # or checkers would take any misspelt name

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value  # the next use does not come here
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
