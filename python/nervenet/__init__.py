# SPDX-License-Identifier: Apache-2.0
"""nervenet: durable multi-agent workflows without a central brain.

    from nervenet import Context, Mesh

    mesh = Mesh("hello")

    @mesh.agent
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    @mesh.workflow
    async def welcome(ctx: Context, name: str) -> str:
        return await ctx.call(greet, name)

This module has only the public names. Each is loaded at its first use (PEP 562), so that `import nervenet` costs nothing and a
process imports gRPC, Redis or pydantic only if its role needs them. Checkers see ordinary imports.

Where things are, from the top; imports flow down only (tested):

    cli/ testing/ integrations/ dev/    for people
    mesh_loader.py mesh.py process/ client/    a mesh, from a file or in code; a role of it; the way in
    node/ agent/    who drives workflows, who does the work; they meet only on the wire
    archive/    closed runs as lines in a folder or a bucket
    streams/ registry/ http/    the data plane: keys, journals and queues in Redis; who lives, in etcd; HTTP of a node
    redis_link/ rpc/ durable/    the Redis client; gRPC; the replay machine, which does no I/O at all
    telemetry/ wire/ definitions.py signatures.py payloads.py
    declarations/ expressions/    workflows as data: what is wrong with one; CEL
    metrics/    counters, histograms, and the page for Prometheus
    dashboard/    files for browsers, which http/ serves
    schemas.py options.py records.py followed_file.py config/ backoff.py clock.py timing.py supervision.py imports.py heap.py errors.py
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervenet.agent.task import Task as Task
    from nervenet.client.client import Client as Client
    from nervenet.client.handle import WorkflowHandle as WorkflowHandle
    from nervenet.client.sync import SyncClient as SyncClient
    from nervenet.client.sync import SyncHandle as SyncHandle
    from nervenet.client.values import Escalation as Escalation
    from nervenet.client.values import Event as Event
    from nervenet.client.values import Partial as Partial
    from nervenet.client.values import Resolution as Resolution
    from nervenet.client.values import WorkflowInfo as WorkflowInfo
    from nervenet.config import Config as Config
    from nervenet.definitions import Agent as Agent
    from nervenet.definitions import Signal as Signal
    from nervenet.definitions import Target as Target
    from nervenet.definitions import Workflow as Workflow
    from nervenet.durable.context import Answer as Answer
    from nervenet.durable.context import Child as Child
    from nervenet.durable.context import Context as Context
    from nervenet.durable.context import TokenUsage as TokenUsage
    from nervenet.errors import AgentError as AgentError
    from nervenet.errors import CallFailed as CallFailed
    from nervenet.errors import Escalate as Escalate
    from nervenet.errors import NervenetError as NervenetError
    from nervenet.errors import NotDurable as NotDurable
    from nervenet.errors import RequestError as RequestError
    from nervenet.errors import WorkflowBlocked as WorkflowBlocked
    from nervenet.errors import WorkflowFailed as WorkflowFailed
    from nervenet.mesh import Mesh as Mesh
    from nervenet.options import CallOptions as CallOptions
    from nervenet.options import RetryPolicy as RetryPolicy
    from nervenet.options import Selection as Selection
    from nervenet.options import StartOptions as StartOptions
    from nervenet.options import Timeouts as Timeouts
    from nervenet.records import Failure as Failure

__all__ = [
    # composing
    "Mesh", "Agent", "Workflow", "Signal", "Target",
    # inside
    "Context", "Task", "Child", "Answer", "TokenUsage",
    # options
    "CallOptions", "RetryPolicy", "Timeouts", "Selection", "StartOptions",
    # outside
    "Client", "SyncClient", "WorkflowHandle", "SyncHandle", "WorkflowInfo", "Event", "Partial", "Escalation", "Resolution", "Failure", "Config",
    # raise these
    "AgentError", "Escalate",
    # catch these
    "NervenetError", "CallFailed", "WorkflowFailed", "WorkflowBlocked", "NotDurable", "RequestError",
]  # fmt: skip

_HOMES = {
    "mesh": ("Mesh",),
    "definitions": ("Agent", "Workflow", "Signal", "Target"),
    "durable.context": ("Context", "Child", "Answer", "TokenUsage"),
    "agent.task": ("Task",),
    "client.client": ("Client",),
    "client.handle": ("WorkflowHandle",),
    "client.sync": ("SyncClient", "SyncHandle"),
    "client.values": ("WorkflowInfo", "Event", "Partial", "Escalation", "Resolution"),
    "options": ("CallOptions", "RetryPolicy", "Timeouts", "Selection", "StartOptions"),
    "records": ("Failure",),
    "config": ("Config",),
    "errors": (
        "AgentError",
        "Escalate",
        "NervenetError",
        "CallFailed",
        "WorkflowFailed",
        "WorkflowBlocked",
        "NotDurable",
        "RequestError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # or checkers would take any misspelt name

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'nervenet' has no attribute {name!r}")
        value = getattr(import_module(f"nervenet.{home}"), name)
        globals()[name] = value  # the next use does not come here
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
