# SPDX-License-Identifier: Apache-2.0
"""Names of the capabilities that an integration makes: `<graph>-<node>`, the same in every process and every release."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from nervenet.integrations.refusals import NotSupported, caller

if TYPE_CHECKING:
    from nervenet.mesh import Mesh

__all__ = ["CapabilityNames", "capability_name"]

_LONGEST = 63


def capability_name(whole: str, part: str, words: str | None = None) -> str:
    """The name for this part: `desk-tools`, `desk-research-search`. One above 63 characters ends with a hash of the part.

    Args:
        whole: Name of the graph, agent or crew.
        part: What of it the capability runs.
        words: What the name says of the part. Default: the part.
    """
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", part if words is None else words).strip("-")
    name = f"{whole}-{readable}"
    if readable and len(name) <= _LONGEST:
        return name
    digest = hashlib.blake2b(part.encode(), digest_size=4).hexdigest()
    return f"{name[: _LONGEST - 9].rstrip('-')}-{digest}"


class CapabilityNames:
    """The capabilities of one graph, agent or crew, each for one part of it.

    Args:
        mesh: Its agents and workflows have their names already.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._taken = {name: f"the agent at {one.location}" for name, one in mesh.agents.items()}
        self._taken |= {name: f"the workflow at {one.location}" for (name, _), one in mesh.workflows.items()}

    def take(self, name: str, what: str, whole: str, cure: str) -> str:
        """Take this name for a part, and return it.

        Args:
            name: See `capability_name`.
            what: The part, for messages: "node 'tools'".
            whole: What it is a part of: "graph 'desk'".
            cure: What gives it another name: "rename the node, or give the graph another name=".

        Raises:
            NotSupported: Another part or another definition of the mesh has this name.
        """
        if (other := self._taken.get(name)) is not None:
            raise NotSupported(
                f"{caller()}: {what} of {whole} would be the capability {name!r}, which is {other}: {cure}"
            )
        self._taken[name] = f"{what} of the same {whole.partition(' ')[0]}"
        return name
