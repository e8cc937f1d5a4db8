# SPDX-License-Identifier: Apache-2.0
"""The sink: a bucket as well as a folder; away, refusing, and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from nervenet import errors
from nervenet.objects import ObjectMissing, SinkError, open_sink
from nervenet.streams.archive import ArchiveList
from tests.archive.world import World, run
from tests.support.s3 import REGION, create_bucket, s3_server
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server of S3 with the bucket `archive`."""
    with s3_server() as url:
        create_bucket(url, "archive")
        yield url


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


async def test_a_bucket_is_an_archive(world: World, s3: str, credentials: None) -> None:
    node, raw = await world.up(archive=f"s3://archive/company?endpoint={s3}&region={REGION}")
    ids = [f"w-{n}" for n in range(20)]
    for each in ids:
        await run(raw, each, value=each)
    await world.forgotten(node, *ids)
    for each in ids:
        told = (await raw.call("GetWorkflow", workflow_id=each)).workflow
        assert told.archived
        assert told.output.value.string_value == each
    listed = await raw.call("ListWorkflows", archived=True)
    assert sorted(one.workflow_id for one in listed.workflows) == sorted(ids)
    store = S3Store("archive", endpoint=s3, region=REGION, client_options={"allow_http": True})
    names = [one["path"] for one in obstore.list(store, f"company/{world.namespace}").collect()]
    assert {name.split("/")[2] for name in names} == {"runs", "list", "index"}


async def test_an_object_is_written_once_and_what_is_missing_is_named(
    tmp_path: Path, s3: str, credentials: None, namespace: str
) -> None:
    for url in (tmp_path.as_uri(), f"s3://archive/once?endpoint={s3}"):
        sink = open_sink(url, namespace)
        await sink.create("runs/date=2026-11-28/one", b"first")
        await sink.create("runs/date=2026-11-28/one", b"second")
        assert await sink.read("runs/date=2026-11-28/one") == b"first"
        assert await sink.read("runs/date=2026-11-28/one", 1, 3) == b"ir"
        assert await sink.names("runs") == ["runs/date=2026-11-28/one"]
        assert await sink.folders("runs") == ["date=2026-11-28"]
        assert await sink.names("nothing") == await sink.folders("nothing") == []
        await sink.delete("runs/date=2026-11-28/one")
        await sink.delete("runs/date=2026-11-28/one")
        with pytest.raises(ObjectMissing):
            await sink.read("runs/date=2026-11-28/one")
        with pytest.raises(ObjectMissing):
            await sink.read("runs/date=2026-11-28/one", 0, 1)


async def test_while_the_bucket_is_away_workflows_go_on_and_redis_keeps_what_waits(
    world: World, s3: str, credentials: None
) -> None:
    async with tcp_proxy(s3) as proxy:
        node, raw = await world.up(archive=f"s3://archive/away?endpoint=http://127.0.0.1:{proxy.port}")
        await run(raw, "before")
        await world.forgotten(node, "before")
        proxy.cut()
        ids = [f"w-{n}" for n in range(30)]
        began = time.monotonic()
        for each in ids:
            await run(raw, each)
        took = time.monotonic() - began
        assert took < 20, f"{took} s for {len(ids)} workflows"
        backlog = ArchiveList(node.context.link, node.context.keys).backlog

        async def failed() -> bool:
            return _failures(node) > 0

        await until(failed, "the node has tried", 30)
        await asyncio.sleep(1.5)  # longer than the retention: nothing is forgotten
        for each in ids:
            assert not (await raw.call("GetWorkflow", workflow_id=each)).workflow.archived
        assert (await backlog())[0] == len(ids)
        with pytest.raises(errors.Unavailable, match="archive cannot be read") as away:
            await raw.call("GetWorkflow", workflow_id="before")
        assert away.value.reason == "ARCHIVE_DOWN"

        await proxy.mend()
        await world.forgotten(node, *ids)
        assert await backlog() == (0, 0)
        for each in ("before", *ids):
            assert (await raw.call("GetWorkflow", workflow_id=each)).workflow.archived


def _failures(node: Any) -> int:
    return node.context.metrics.archive._failures.value  # type: ignore[no-any-return]


async def test_wrong_credentials_and_a_full_disk_are_told_in_words_without_secrets(
    world: World, s3: str, credentials: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = open_sink(f"s3://no-such-bucket/x?endpoint={s3}", "ns")
    with pytest.raises(SinkError) as refused:
        await sink.create("runs/one", b"x")
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value).lower()
    node, raw = await world.up(archive=f"s3://no-such-bucket/x?endpoint={s3}")
    await run(raw, "w")
    await until(lambda: "the archive takes nothing" in caplog.text, "the log says it", 30)
    assert (await raw.call("GetWorkflow", workflow_id="w")).workflow.workflow_id == "w"
    assert _failures(node) > 0


async def test_what_nobody_archived_in_time_is_gone_and_counted(world: World, s3: str, credentials: None) -> None:
    node = await world.node(archive=world.folder.as_uri(), retention="1h")
    raw = await world.raw(node)
    await run(raw, "w")
    waiting = ArchiveList(node.context.link, node.context.keys)

    async def listed() -> bool:
        return (await waiting.backlog())[0] == 1

    await until(listed)
    await node.context.link.call("DEL", node.context.keys.head("w"), node.context.keys.journal("w"))
    from nervenet.node.archiving.archiver import Archiver

    archiver = Archiver(node.context, open_sink(world.folder.as_uri(), world.namespace))
    archiver._linger_ms = 0
    await archiver.step()
    assert node.context.metrics.archive._lost.value == 1
    assert await waiting.backlog() == (0, 0)


def test_settings_that_name_no_sink_are_refused(world: World) -> None:
    for wrong in ("folder", "file://host/x", "file:relative", "s3://", "ftp://a/b", "s3://b/p?token=1", "s3://u:p@b/x"):
        with pytest.raises(errors.ConfigError, match="archive"):
            world.config(archive=wrong)
