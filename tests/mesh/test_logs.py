# SPDX-License-Identifier: Apache-2.0
"""A line in a log says which workflow, step, attempt and trace it belongs to, whoever logged it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mesh import ProcessMesh
from tests.support.waiting import wait_until

APP = """
import logging
from nervenet import CallOptions, Context, Mesh, RetryPolicy, Task

mesh = Mesh("shop")
own = logging.getLogger("shop.stock")


def reserve(n):
    own.warning("reserves %d", n)
    if n == 1:
        raise OSError("try again")
    return n


@mesh.agent
def sell(n: int) -> int:
    return reserve(n)


@mesh.agent
async def ship(task: Task, n: int) -> int:
    own.warning("ships %d", n)
    task.log.warning("is on its way")
    if task.attempt == 1:
        raise OSError("the truck is full")
    return n


@mesh.workflow
async def order(ctx: Context, n: int) -> int:
    ctx.log.info("has begun")
    sold = await ctx.call(sell, n)
    ctx.log.info("is sold")
    return await ctx.call(ship, sold, options=CallOptions(retry=RetryPolicy(max_attempts=3)))
"""


@pytest.fixture
def mesh(tmp_path: Path, redis_url: str, etcd_url: str) -> Iterator[ProcessMesh]:
    (tmp_path / "app.py").write_text(APP)
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=str(tmp_path / "app.py")) as found:
        yield found


def lines(process: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]


def test_lines_of_handlers_and_workflows_say_where_they_belong(mesh: ProcessMesh) -> None:
    first, second = mesh.up(mesh.node(), mesh.node())
    (agent,) = mesh.up(mesh.agent())
    assert mesh.run("start", "order", "7", "--id", "order-7", "--wait").returncode == 0
    wait_until(lambda: len([one for one in lines(agent) if one["logger"] == "shop.stock"]) == 3, "all is logged", 20)
    where = {(one["message"], one["workflow_id"], one["step"], one["attempt"]) for one in lines(agent) if "step" in one}
    assert {
        ("reserves 7", "order-7", "sell", 1),
        ("ships 7", "order-7", "ship", 1),
        ("ships 7", "order-7", "ship", 2),
        ("is on its way", "order-7", "ship", 2),
    } <= where
    nodes = [one for process in (first, second) for one in lines(process) if one["logger"] == "nervenet.workflow.order"]
    assert [one["message"] for one in nodes] == ["order-7: has begun", "order-7: is sold"], "once each, not in replays"
    assert all((one["workflow_id"], one["run"]) == ("order-7", 1) for one in nodes)
