# SPDX-License-Identifier: Apache-2.0
"""A cancel reaches the handler itself, whatever it runs in; a label keeps tasks from everybody else."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from nervenet.errors import WorkflowCanceled
from tests.mesh import stories
from tests.support.mesh import ProcessMesh, settled

KINDS = ("coroutine", "thread", "process")


@pytest.fixture(scope="module", autouse=True)
def processes(host: ProcessMesh) -> None:
    host.up(host.node())
    host.up(
        host.agent("--only", ",".join(KINDS), "--name", "kinds"),
        host.agent("--only", "where", "--name", "eu", STORY_ZONE="eu"),
        host.agent("--only", "where", "--name", "us", STORY_ZONE="us"),
        host.agent("--only", "where", "--name", "any"),
    )


async def test_a_cancel_reaches_a_coroutine_a_thread_and_a_process_within_two_seconds(host: ProcessMesh) -> None:
    async with host.client() as client:
        run = await client.start(stories.three_kinds, "k", id="kinds-1")
        for kind in KINDS:
            await host.effect(f"k-{kind}", "running")
        asked = time.time()
        await run.cancel("enough")
        took = {}
        for kind in KINDS:
            await host.effect(f"k-{kind}", "stopped")
            took[kind] = float(host.effects(f"k-{kind}")[-1].split()[1]) - asked
        with pytest.raises(WorkflowCanceled, match="enough"):
            await run.result(timeout=10)
    assert max(took.values()) < 2, took


async def test_only_agents_with_the_label_get_the_task_through_inbox_and_queue(host: ProcessMesh) -> None:
    async with host.client() as client:
        runs = [await client.start(stories.everywhere, zone, id=f"zone-{zone}") for zone in ("eu", "us")]
        places = [Counter(await run.result(timeout=20)) for run in runs]
    assert places == [{"eu": 40}, {"us": 40}]


async def test_a_label_that_nobody_has_keeps_the_task_waiting_and_show_says_so(host: ProcessMesh) -> None:
    async with host.client() as client:
        run = await client.start(stories.everywhere, "mars", id="zone-mars")
        await settled(run, "RUNNING", host)
        shown = host.run("show", "zone-mars")
        assert "no live agent serves it" in shown.stdout, shown.stdout
        tasks = json.loads(host.run("show", "zone-mars", "--json").stdout)["workflow"]["tasks"]
        assert len(tasks) == 40 and {task["state"] for task in tasks} == {"TASK_STATE_QUEUED"}

        host.up(host.agent("--only", "where", "--name", "mars", STORY_ZONE="mars"))
        assert Counter(await run.result(timeout=20)) == {"mars": 40}
