# SPDX-License-Identifier: Apache-2.0
"""The capability of each node: `<graph>-<node>`, the same in every process and every release."""

from __future__ import annotations

import hashlib
import re

from nervenet.integrations.langgraph.refusals import NotSupported, caller

LONGEST = 63
"""Characters of a capability's name."""


def capability(graph: str, path: str) -> str:
    """The name for the node at this path: `desk-tools`, `desk-research-search`; long ones end with a hash."""
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", path).strip("-")
    name = f"{graph}-{words}"
    if words and len(name) <= LONGEST:
        return name
    digest = hashlib.blake2b(path.encode(), digest_size=4).hexdigest()
    return f"{name[: LONGEST - 9].rstrip('-')}-{digest}"


class Names:
    """The capabilities of one graph, each for one node."""

    def __init__(self, graph: str, taken: dict[str, str]) -> None:
        self._graph, self._taken = graph, taken

    def of(self, path: str) -> str:
        """The capability of a node.

        Raises:
            NotSupported: Another node or another definition of the mesh has this name.
        """
        name = capability(self._graph, path)
        if (other := self._taken.get(name)) is not None:
            raise NotSupported(
                f"{caller()}: node {path!r} of graph {self._graph!r} would be the capability {name!r}, which is {other}: "
                "rename the node, or give the graph another name="
            )
        self._taken[name] = f"node {path!r} of the same graph"
        return name
