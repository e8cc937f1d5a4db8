# SPDX-License-Identifier: Apache-2.0
"""How the tests of the five programs (`examples/programs`) start them: two nodes, two agents, as users do.

Each program is run twice: left in peace, and with a `kill -9` in its middle; the result is the same. "Its middle" is a
fact, not a moment: an agent that is held back or not there yet, a question that is open, a model that has stopped
behind its second word. Only the 500 pages are killed on the fly, at the 100th.
"""

from __future__ import annotations

from typing import Any

from nervenet import WorkflowHandle
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.processes import NervenetProcess

PROGRAMS = "examples/programs"
WITHIN = 30.0


def two_nodes(host: ProcessMesh, program: str) -> None:
    host.up(host.node(f"{PROGRAMS}/{program}.py"), host.node(f"{PROGRAMS}/{program}.py"))


def agent(host: ProcessMesh, program: str, name: str, *flags: str, **env: str) -> NervenetProcess:
    return host.agent("--name", name, *flags, app=f"{PROGRAMS}/{program}.py", **env)


def kill(victim: NervenetProcess) -> None:
    victim.kill()
    victim.wait()


async def kill_the_owner_of(run: WorkflowHandle[Any], host: ProcessMesh) -> None:
    kill(await owner_of(run, host.nodes))
