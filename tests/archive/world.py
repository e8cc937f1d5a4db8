# SPDX-License-Identifier: Apache-2.0
"""Nodes with an archive, workflows that close, and an archive read with nothing but gzip and json."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from nervenet import Context, Mesh, Signal, errors
from nervenet.client.raw import RawClient
from nervenet.node.node import Node
from tests.support.nodes import NodesHere
from tests.support.waiting import until

mesh = Mesh("archived")
go = Signal("go", str)


@mesh.workflow
async def echo(ctx: Context, value: Any) -> Any:
    ctx.publish({"saw": value})
    return value


@mesh.workflow
async def fails(ctx: Context, words: str) -> str:
    raise ValueError(words)


@mesh.workflow
async def waits(ctx: Context) -> str:
    return await ctx.receive(go)


@mesh.workflow(retention=timedelta(days=30))
async def treasured(ctx: Context, value: Any) -> Any:
    return value


@mesh.workflow
async def renews(ctx: Context, left: int) -> str:
    if left:
        ctx.continue_as_new(renews, left - 1)
    return "done"


class World(NodesHere):
    """Nodes that archive into `folder`."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str, folder: Path) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)
        self.folder = folder

    async def up(self, **settings: Any) -> tuple[Node, RawClient]:
        """A node that keeps closed workflows for a second, and calls to it."""
        node = await self.node(**{"archive": self.folder.as_uri(), "retention": "1s", **settings})
        return node, await self.raw(node)

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the archive."""
        return lines_in(self.folder / self.namespace)

    async def archived(self, *workflow_ids: str, runs: int = 1) -> list[dict[str, Any]]:
        """The lines of these workflows, once all of them are there."""

        def there() -> list[dict[str, Any]] | None:
            found = [line for line in self.lines() if line["workflow_id"] in workflow_ids]
            return found if len(found) >= len(workflow_ids) * runs else None

        return await until(there, f"{workflow_ids} are in the archive", 30)

    async def forgotten(self, node: Node, *workflow_ids: str) -> None:
        """Until Redis has nothing of these workflows any more."""
        link = node.context.link
        for each in workflow_ids:
            pattern = f"nn:{self.namespace}:wf:{{{each}}}*"

            async def gone(pattern: str = pattern) -> bool:
                return await link.call("KEYS", pattern) == []

            await until(gone, f"Redis has forgotten {each}", 30)


def lines_in(folder: Path) -> list[dict[str, Any]]:
    """The lines of one namespace's folder, read as any tool would."""
    found = []
    for path in sorted(folder.glob("runs/*/*.jsonl.gz")):
        with gzip.open(path, "rt") as file:
            found += [json.loads(line) for line in file]
    return found


async def run(raw: RawClient, workflow_id: str, definition: str = "echo", value: Any = 1, **more: Any) -> Any:
    """A workflow from its start to its end."""
    given = {"json": json.dumps(value)} if definition != "waits" else {}
    await raw.call("StartWorkflow", workflow_id=workflow_id, definition=definition, input=given, **more)
    return (await raw.call("GetWorkflow", workflow_id=workflow_id, wait={"seconds": 20})).workflow


__all__ = ["World", "errors", "lines_in", "mesh", "run"]
