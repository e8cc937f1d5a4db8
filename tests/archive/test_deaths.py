# SPDX-License-Identifier: Apache-2.0
"""Each closed run is in the archive exactly once, no matter which process dies, and when.

First a node dies between any two steps of its work, then processes are killed while hundreds of workflows close.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nervenet.node.archiving.archiver import Archiver
from nervenet.objects import ObjectSink, open_sink
from nervenet.streams.archive import ArchiveList
from tests.archive.world import World, lines_in, run
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

pytestmark = pytest.mark.long

STEPS = ("take", "read", "seal", "list", "index", "runs", "mark", "done")


class Dead(BaseException):
    """The node is gone: nothing of it runs on."""


class Mortal:
    """Archives with real parts, and dies right behind its nth call of one kind."""

    def __init__(self, archiver: Archiver, sink: ObjectSink, last: str, before: bool) -> None:
        self._list, self._sink, self._last, self._before = archiver._list, sink, last, before
        archiver._list, archiver._sink = self, self  # type: ignore[assignment]  # it stands between

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        owner = self._list if hasattr(ArchiveList, name) else self._sink
        if name == "begin_read":
            return self._list.begin_read

        async def call(*args: Any, **more: Any) -> Any:
            step = str(args[0]).partition("/")[0] if name == "create" else name
            if step == self._last and self._before:
                if step == "mark":  # half of it was done
                    await self._list.mark(args[0][:1])
                raise Dead
            found = await getattr(owner, name)(*args, **more)
            if step == self._last:
                raise Dead
            return found

        return call


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_node_dies_at_any_step_and_another_finishes(world: World, step: str, before: bool) -> None:
    node = await world.node(
        archive=world.folder.as_uri(), retention="1h"
    )  # its own archiver waits longer than this test
    raw = await world.raw(node)
    ids = [f"w-{n}" for n in range(3)]
    for each in ids:
        await run(raw, each)
    sink = open_sink(world.folder.as_uri(), world.namespace)
    at_once = Archiver(node.context, sink)
    at_once._linger_ms = 0
    other = Archiver(node.context, sink)
    other._linger_ms = 0
    keys, link = node.context.keys, node.context.link
    await until(lambda: _waiting(node, 3), "all wait for the archive")
    Mortal(at_once, sink, step, before)
    with pytest.raises(Dead):
        await at_once.step()
    for batch in await link.call("ZRANGEBYSCORE", keys.archive[2], "-inf", "+inf"):  # its time passes
        await link.call("ZADD", keys.archive[2], 1, batch)

    while await other.step():
        pass
    assert sorted(line["workflow_id"] for line in world.lines()) == ids
    assert await other._list.backlog() == (0, 0)
    for key in keys.archive:
        assert not await link.call("EXISTS", key)
    for each in ids:
        found = await node.context.archive.find(each)  # type: ignore[union-attr]  # it has one
        assert found is not None
        assert await link.call("HGET", keys.head(each), "archived") == b"1"
    page = await raw.call("ListWorkflows", archived=True)
    assert sorted(one.workflow_id for one in page.workflows) == ids


async def _waiting(node: Any, number: int) -> bool:
    return (await ArchiveList(node.context.link, node.context.keys).backlog())[0] == number


async def test_two_nodes_with_one_batch_and_bookkeeping_that_comes_again_write_it_once(world: World) -> None:
    node = await world.node(archive=world.folder.as_uri(), retention="1h")
    raw = await world.raw(node)
    await run(raw, "w")
    await until(lambda: _waiting(node, 1))
    sink = open_sink(world.folder.as_uri(), world.namespace)
    archivers = [Archiver(node.context, sink) for _ in range(3)]
    for one in archivers:
        one._linger_ms = 0
    first = await archivers[0]._list.take("b-one", most=9, full=1, linger_ms=0, hold_ms=0)
    again = await archivers[1]._list.take("b-two", most=9, full=1, linger_ms=0, hold_ms=60_000)
    assert first is not None
    assert again is not None
    assert (first.batch_id, first.runs) == (again.batch_id, again.runs)
    await asyncio.gather(archivers[1]._archive(again), archivers[0]._archive(first))
    head = await node.context.journal.head("w")
    assert head is not None
    await node.context.ownership.list_for_archive("w", 1, head.closed_ms)  # a sweep that comes late
    await archivers[2].step()
    assert [line["workflow_id"] for line in world.lines()] == ["w"]
    assert await archivers[2]._list.backlog() == (0, 0)


async def test_nodes_are_killed_while_workflows_close_and_each_run_is_archived_once(
    tmp_path: Path, redis_url: str, etcd_url: str
) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    folder = tmp_path / "archive"
    env = {"NERVENET_ARCHIVE": folder.as_uri(), "NERVENET_RETENTION": "2s"}
    with ProcessMesh(tmp_path, redis_url, etcd_url, app="tests/archive/app.py", **env) as mesh:
        mesh.start(3, 0)
        ids: list[str] = []
        enough = asyncio.Event()

        def archived() -> int:
            return len(lines_in(folder / mesh.namespace))

        async def feed() -> None:
            while not enough.is_set():
                new = [f"w-{len(ids) + n}" for n in range(10)]
                ids.extend(new)
                async with mesh.client() as client:  # a new one: in the end none of the first nodes may be left
                    await asyncio.gather(*(client.start("echo", each, id=each) for each in new))
                await asyncio.sleep(0.1)

        feeding = asyncio.create_task(feed())
        for _ in range(3):
            seen = archived()
            await until(lambda seen=seen: archived() > seen + 10, f"the archive grows (seed {seed})", 60, mesh)
            chance.choice(mesh.nodes).kill(signal.SIGKILL)
            await mesh.node().until_ready()
        enough.set()
        await feeding

        def complete() -> bool:
            return {line["workflow_id"] for line in lines_in(folder / mesh.namespace)} == set(ids)

        await until(complete, f"every closed run is in the archive (seed {seed})", 90, mesh)
        twice = {
            each: count
            for each, count in Counter(line["workflow_id"] for line in lines_in(folder / mesh.namespace)).items()
            if count > 1
        }
        assert not twice, f"seed {seed}"
        shown = mesh.run("show", "w-0", at=mesh.nodes[0])
        assert "w-0" in shown.stdout
        assert mesh.run("result", ids[-1], at=mesh.nodes[0]).stdout.strip() in (ids[-1], f'"{ids[-1]}"')
