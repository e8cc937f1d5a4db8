# SPDX-License-Identifier: Apache-2.0
"""The same graphs as after an upgrade: messages of langchain-core, and the users' models and states, have new fields with
defaults. `python -m tests.frameworks.langgraph.newer FOLDER` replays the journals in a folder with them."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

from langchain_core import messages
from pydantic import Field
from pydantic.fields import FieldInfo

HERE = Path(__file__).parent
NEW_LINES = {
    "    size: int = 1\n": "    size: int = 1\n    weights: list[float] = Field(default_factory=lambda: [0.5])\n",
    "    mood: Mood = Mood.GOOD\n": "    mood: Mood = Mood.GOOD\n    priority: int = 3\n",
    "    user: str\n    roles": "    user: str\n    desk: str = 'front'\n    roles",
    "    path: Sequence[str] = ()\n": "    path: Sequence[str] = ()\n    height: int = 4\n",
}


def add_field(kind: type[Any], name: str, field: Any, annotation: Any) -> None:
    """Give a model of a library one more field, as its next release would."""
    field.annotation = annotation
    kind.model_fields[name] = field
    kind.model_rebuild(force=True)


def upgrade() -> None:
    """Change the messages of langchain-core, and load the graphs with changed classes."""
    new: list[FieldInfo] = [Field(default="calm"), Field(default_factory=list)]
    for kind in (messages.HumanMessage, messages.ToolMessage, messages.AIMessage):
        add_field(kind, "tone", new[0], str)
        add_field(kind, "sources", new[1], list[str])
    name = "tests.frameworks.langgraph.graphs"
    text = (HERE / "graphs.py").read_text()
    for old, newer in NEW_LINES.items():
        assert old in text, old
        text = text.replace(old, newer)
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = str(HERE / "graphs.py")
    exec(compile(text, module.__file__, "exec"), module.__dict__)


def main() -> None:
    upgrade()
    from tests.frameworks.journals import digests
    from tests.frameworks.langgraph import graphs

    message: Any = messages.AIMessage("x")
    assert message.tone == "calm" and message.model_dump()["sources"] == []
    order: Any = graphs.Order(name="n")
    assert order.priority == 3
    print(*digests("tests.frameworks.langgraph.cases", Path(sys.argv[1])), sep="\n")


if __name__ == "__main__":
    main()
