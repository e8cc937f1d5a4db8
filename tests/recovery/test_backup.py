# SPDX-License-Identifier: Apache-2.0
"""docs/backup.md, done with real servers: a copy of Redis' files is made under a running mesh, everything ends, and a new mesh
on the copy, with an empty etcd, goes on where the copy was made.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nervenet import Client, Resolution
from nervenet.dev.servers import Server, etcd, valkey
from nervenet.errors import NotFound
from tests.recovery import backup_app as app
from tests.support.mesh import ProcessMesh, claimed, settled
from tests.support.redis_servers import reached, say

APP = "tests/recovery/backup_app.py"


def persistence(server: Server) -> dict[str, str]:
    lines = say(server, "INFO", "persistence").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def copy_snapshot(server: Server, backup: Path) -> None:
    """BGSAVE, then the file that it wrote."""
    say(server, "BGSAVE")
    await reached(lambda: persistence(server)["rdb_bgsave_in_progress"] == "0", "the snapshot is written")
    assert persistence(server)["rdb_last_bgsave_status"] == "ok"
    backup.mkdir()
    shutil.copy(server.data / "dump.rdb", backup)


async def copy_append_only_files(server: Server, backup: Path) -> None:
    """The whole folder, while Redis does not rewrite it."""
    say(server, "CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
    await reached(lambda: persistence(server)["aof_rewrite_in_progress"] == "0", "no rewrite is under way")
    shutil.copytree(server.data / "appendonlydir", backup / "appendonlydir")
    say(server, "CONFIG", "SET", "auto-aof-rewrite-percentage", "100")


async def serve_snapshot(server: Server) -> None:
    """A Redis that is told to append, and finds no append-only file, starts empty: so it loads first, and appends then."""
    say(server, "CONFIG", "SET", "appendonly", "yes")
    await reached(lambda: persistence(server)["aof_rewrite_in_progress"] == "0", "the append-only file is written")
    assert (server.data / "appendonlydir").is_dir()


async def serve_append_only_files(server: Server) -> None:
    assert say(server, "CONFIG", "GET", "appendonly")[1] == "yes"


WAYS: dict[str, tuple[Callable[..., object], dict[str, str], Callable[..., object]]] = {
    "RDB": (copy_snapshot, {"appendonly": "no"}, serve_snapshot),
    "AOF": (copy_append_only_files, {"appendonly": "yes"}, serve_append_only_files),
}


@pytest.mark.parametrize("way", ["RDB", pytest.param("AOF", marks=pytest.mark.long)])
async def test_a_mesh_on_a_copy_goes_on_where_the_copy_was_made(way: str, tmp_path: Path) -> None:
    copy, options, serve = WAYS[way]
    namespace, backup = "backup", tmp_path / "backup"
    async with valkey(tmp_path / "first") as redis, etcd() as registry:
        with ProcessMesh(tmp_path, redis.url, registry.url, app=APP, namespace=namespace) as mesh:
            mesh.start(1, 1)
            async with mesh.client() as client:
                await _under_way(client, mesh)
                await copy(redis, backup)  # type: ignore[misc]  # a coroutine function
                await _afterwards(client)
    for ready in tmp_path.glob("*-[0-9].json"):  # of processes that are gone
        ready.unlink()
    folder = tmp_path / "second"
    shutil.copytree(backup, folder)
    async with valkey(folder, options=options) as redis, etcd() as registry:
        await serve(redis)  # type: ignore[misc]
        with ProcessMesh(tmp_path, redis.url, registry.url, app=APP, namespace=namespace) as mesh:
            mesh.start(1, 1)
            async with mesh.client() as client:
                await _continued(client, mesh)


async def _under_way(client: Client, mesh: ProcessMesh) -> None:
    """What is there when the copy is made."""
    assert await client.run(app.short, "over", id="short-over") == "draft of over"
    letters = await client.start_many(app.letter, {f"letter-{n}": f"letter-{n}" for n in range(4)})
    asking = await client.start(app.question, "question-1", id="question-1")
    copying = await client.start(app.long, "long-1", id="long-1")
    for n in range(len(letters)):
        await mesh.effect(f"letter-{n}", "drafted")
    await settled(asking, "WAITING_FOR_HUMAN", mesh)
    await mesh.effect("long-1", "copying #1")
    await claimed(copying, mesh)


async def _afterwards(client: Client) -> None:
    """What happens after the copy, and is forgotten."""
    letter = client.handle("letter-0", app.letter)
    await letter.signal(app.approve, "ana")
    assert await letter.result(timeout=20) == "draft of letter-0, sent, approved by ana"
    assert await client.run(app.short, "later", id="short-later") == "draft of later"


async def _continued(client: Client, mesh: ProcessMesh) -> None:
    assert await client.handle("short-over", app.short).result(timeout=20) == "draft of over", (
        "what was over can be read"
    )
    with pytest.raises(NotFound):
        await client.handle("short-later", app.short).info()
    for n in range(4):
        letter = client.handle(f"letter-{n}", app.letter)
        await letter.signal(app.approve, "bob")
        assert await letter.result(timeout=30) == f"draft of letter-{n}, sent, approved by bob"
    drafted = [line for n in range(4) for line in mesh.effects(f"letter-{n}") if line.startswith("drafted")]
    assert len(drafted) == 4, "what the copy has as done is not done again"
    sent = [line for line in mesh.effects("letter-0") if line.startswith("sent")]
    assert len(sent) == 2, "what was done after the copy is done again"
    assert len(set(sent)) == 1, "under the same idempotency key"
    questions = [one async for one in client.escalations()]
    assert [one.workflow_id for one in questions] == ["question-1"]
    await client.resolve(questions[0].id, Resolution.complete("yes"))
    assert await client.handle("question-1", app.question).result(timeout=20) == "yes"
    await mesh.effect("long-1", "copying #2", 30)
    mesh.open("long-1")
    assert await client.handle("long-1", app.long).result(timeout=20) == "copied in attempt 2"
