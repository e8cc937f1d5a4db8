# SPDX-License-Identifier: Apache-2.0
"""A wrong byte, or a value that only a newer release knows, costs the workflow that it belongs to and no other.

Here a few cases of each key of the layout run, drawn by a seed that is printed; `make damage` runs all of them.
"""

from __future__ import annotations

import inspect
import os
import random
import re
from pathlib import Path

import pytest

from nervenet import RequestError
from nervenet.redis_link.opening import open_link
from nervenet.registry.layout import AGENTS, LOAD, NODES, TOMBSTONES
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.queues import OutgoingWake, Queues
from nervenet.streams.script import packaged_scripts
from nervenet.v1 import workflow_pb2 as workflow
from tests.damage.app import waits
from tests.damage.damages import Damage, every
from tests.damage.layout import keys
from tests.damage.newer import CODE_OF_TOMORROW
from tests.damage.trial import APP, mesh
from tests.support.mesh import ProcessMesh, settled
from tests.support.waiting import until

pytestmark = pytest.mark.long

SEED = int(os.environ.get("DAMAGE_SEED") or random.randrange(1 << 32))
A_KIND = 1
"""Cases of each key, in this short form."""


def test_the_tables_of_the_contract_name_every_key_that_the_code_uses() -> None:
    """So none can be forgotten in the cases, which are made from these tables."""
    there = {re.sub(r"<[^>]*>", "x", key.pattern) for key in keys()}
    made, names = set(), Keys("x")
    for name, thing in inspect.getmembers(Keys):
        if name.startswith("_") or name in (
            "every",
            "processes_and_queues",
            "tag",
            "tag_or_none",
            "written",
            "namespace",
        ):
            continue
        found = getattr(names, name)
        if callable(thing):
            wanted = [p for p in inspect.signature(found).parameters.values() if p.default is p.empty]
            found = found(*[1 if p.annotation == "int" else "x" for p in wanted])
        for key in found if isinstance(found, tuple) else (found,):
            made.add(key.decode().replace(":run:1", ":run:x"))
    assert made - there == set(), "protos/README.md lists them"
    assert {f"{kind}/x" for kind in (AGENTS, LOAD, NODES, TOMBSTONES)} <= there


def some() -> list[Damage]:
    """A case of each key, and whatever was once found to hurt others."""
    chance, all_of_them = random.Random(SEED), every()
    found = []
    for key in keys():
        cases = [damage for damage in all_of_them if f"{key.pattern} " in f"{damage.name} "]
        found += chance.sample(cases, min(A_KIND, len(cases)))
    return found


async def test_a_damaged_key_hurts_nobody_but_its_owner(
    tmp_path: Path, redis_url: str, etcd_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.damage.trial.GOOD", 10)
    async with mesh(tmp_path, redis_url, etcd_url) as (target, client):
        for damage in some():
            wrong = await target.run(damage, client)
            assert not wrong, f"{damage.name} (DAMAGE_SEED={SEED}): {wrong}"


async def test_a_node_of_a_newer_release_goes_on_with_what_an_older_one_cannot_read(
    tmp_path: Path, redis_url: str, etcd_url: str
) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url) as host:
        (old,) = host.up(host.node(APP))
        host.up(host.agent(app=APP))
        async with host.client(old) as client:
            run = await client.start(waits, "x", id="w")
            await until(lambda: _runs(run), "its step runs", 20, host)
            await _write_what_only_tomorrow_knows(host, redis_url, old.id)
            blocked = await settled(run, "BLOCKED", host)
            assert blocked.note.startswith("entry 2 attempt:gated#1 cannot be read by nervenet ")
            assert blocked.message.blocked.detail.split(": ")[0].endswith(f"(failure code {CODE_OF_TOMORROW})")
            shown = host.run("show", "w", at=old).stdout
            assert "a newer version wrote it" in shown and "disagree" not in shown
            host.up(host.node("tests/damage/newer.py"))
            await until(lambda: _ended(run), "the newer node goes on with it", 20, host)
        assert await run.result() == "x 2"


async def _runs(run: object) -> bool:
    info = await run.info()  # type: ignore[attr-defined]
    return any(task.state == 2 for task in info.message.tasks)  # RUNNING


async def _ended(run: object) -> bool:
    try:
        return bool((await run.info()).state == "SUCCEEDED")  # type: ignore[attr-defined]
    except RequestError:
        return False


async def _write_what_only_tomorrow_knows(host: ProcessMesh, redis_url: str, owner: str) -> None:
    """As an agent of tomorrow would: append, then wake the owner."""
    link, names = await open_link(redis_url, name="tomorrow", scripts=packaged_scripts()), Keys(host.namespace)
    entry = workflow.JournalEntry(actor="agent-of-tomorrow")
    entry.task.failure.code = CODE_OF_TOMORROW  # type: ignore[assignment]
    entry.task.capability = "gated"
    data, name = entry.SerializeToString(), "attempt:gated#1"
    try:
        appended = await JournalStore(link, names).append("w", 1, name, data)
        assert appended.status == "new"
        await Queues(link, names).wake(OutgoingWake(owner, "w", 1, appended.id, name, data))
    finally:
        await link.close()
