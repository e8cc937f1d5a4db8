# SPDX-License-Identifier: Apache-2.0
"""A workflow whose code has an error, and one that has failed: what an operator is told, and how it is repaired. Real processes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from nervenet import WorkflowBlocked, WorkflowFailed
from nervenet.records import State
from tests.support.environment import NERVENET
from tests.support.mesh import ProcessMesh, settled
from tests.support.processes import NervenetProcess
from tests.support.waiting import until, wait_until

SHOP = """
from nervenet import CallOptions, Context, Mesh, RetryPolicy, Signal, Task
from tests.support.story import record

mesh = Mesh("shop")
paid = Signal("paid", str)
ONCE = CallOptions(retry=RetryPolicy(max_attempts=1))
ASKS = CallOptions(retry=RetryPolicy(max_attempts=1, on_exhausted="escalate"))


@mesh.agent
async def fetch(task: Task, item: str) -> int:
    record(task.workflow_id, "fetched")
    return 2


@mesh.agent(options=ONCE)
async def refuse(item: str) -> int:
    raise ValueError(f"{item} is sold out")


@mesh.agent(options=ASKS)
async def fragile(task: Task, item: str) -> int:
    record(task.workflow_id, "tried")
    raise ValueError("not yet")


@mesh.workflow
async def order(ctx: Context, item: str) -> int:
    count = await ctx.call(fetch, item)
    prices = PRICES
    total = prices[item] * count
    return total


@mesh.workflow
async def waits(ctx: Context, item: str) -> int:
    count = await ctx.call(fetch, item)
    await ctx.receive(paid)
    return PRICES[item] * count


@mesh.workflow
async def parent(ctx: Context, item: str) -> int:
    return await ctx.call(order, item) + 1


@mesh.workflow
async def refused(ctx: Context, item: str) -> int:
    return await ctx.call(refuse, item)


@mesh.workflow
async def asking(ctx: Context, item: str) -> int:
    return await ctx.call(fragile, item)


PRICES = {"tea": 3}
"""
CORRECTED = SHOP.replace('{"tea": 3}', '{"tea": 3, "coffee": 4}')
LINE = 1 + SHOP.splitlines().index("    total = prices[item] * count")


@pytest.fixture(scope="module")
def apps(host: ProcessMesh) -> tuple[str, str]:
    """The code with the error, and the corrected code."""
    for folder, text in (("wrong", SHOP), ("right", CORRECTED)):
        (host.folder / folder).mkdir()
        (host.folder / folder / "shop.py").write_text(text)
    return str(host.folder / "wrong" / "shop.py"), str(host.folder / "right" / "shop.py")


@pytest.fixture(scope="module", autouse=True)
def wrong_node(host: ProcessMesh, apps: tuple[str, str]) -> NervenetProcess:
    (node,) = host.up(host.node(apps[0]))
    host.up(host.agent(app=apps[0]))
    return node


# ── an error in the code ─────────────────────────────────────────────────────────────────────────────────────────────


def test_wait_says_at_once_that_it_is_blocked_with_the_line_and_the_cure(host: ProcessMesh) -> None:
    began = time.monotonic()
    done = host.run("start", "order", '"coffee"', "--id", "order-1", "--wait")
    assert done.returncode == 8, done
    assert "order-1 is BLOCKED since" in done.stderr
    assert f"KeyError: 'coffee' (order v1, shop.py:{LINE})" in done.stderr
    assert "total = prices[item] * count" in done.stderr
    assert "correct the code and save or deploy it" in done.stderr and "nervenet retry order-1" in done.stderr
    assert time.monotonic() - began < 10  # most of it is the start of the command
    asked = host.run("result", "order-1")
    assert asked.returncode == 8 and f"shop.py:{LINE}" in asked.stderr
    listed = host.run("list", "--state", "blocked")
    assert f"shop.py:{LINE}: KeyError: 'coffee'" in listed.stdout
    assert f"KeyError: 'coffee' (order v1, shop.py:{LINE})" in host.run("show", "order-1").stdout
    machine = host.run("result", "order-1", "--json")
    assert machine.returncode == 8 and json.loads(machine.stderr)["code"] == 9


async def test_result_raises_within_a_second_and_waits_on_when_asked(host: ProcessMesh) -> None:
    async with host.client() as client:
        run = await client.start("waits", "coffee", id="waits-1")
        waiting = asyncio.create_task(run.result(timeout=20))
        patient = asyncio.create_task(run.result(timeout=20, wait_while_blocked=True))
        await host.effect("waits-1", "fetched")
        await asyncio.sleep(0.3)
        assert not waiting.done()
        began = time.monotonic()
        await run.signal("paid", "card")
        with pytest.raises(
            WorkflowBlocked, match=r"workflow waits-1 is BLOCKED at shop.py:\d+: KeyError: 'coffee'"
        ) as error:
            await waiting
        assert time.monotonic() - began < 1
        assert (error.value.workflow_id, error.value.cause) == ("waits-1", "KeyError: 'coffee'")
        with pytest.raises(WorkflowBlocked):  # who comes later is told at once, too
            await run.result(timeout=20)
        assert not patient.done()
        events = [event async for event in _first_blocked(run.watch())]
        assert events[-1].kind == "blocked" and events[-1].data["error"] == "KeyError: 'coffee'"
        await run.cancel("enough")
        with pytest.raises(WorkflowFailed, match="BLOCKED"):
            await patient


async def _first_blocked(events):  # type: ignore[no-untyped-def]
    async for event in events:
        yield event
        if event.kind == "blocked":
            return


async def test_another_node_tells_it_within_a_second(host: ProcessMesh, apps: tuple[str, str]) -> None:
    (other,) = host.up(host.node(apps[0]))
    async with host.client() as client, host.client(other) as at_the_other:
        runs = [await client.start("waits", "coffee", id=f"far-{i}") for i in range(6)]
        waiting = [asyncio.create_task(at_the_other.handle(run.id).result(timeout=20)) for run in runs]
        for run in runs:
            await host.effect(run.id, "fetched")
        await asyncio.sleep(0.3)
        began = time.monotonic()
        for run in runs:
            await run.signal("paid", "card")
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, WorkflowBlocked) for each in found), found
        assert time.monotonic() - began < 1.5
        for run in runs:
            await run.cancel()
    other.kill(signal.SIGTERM)
    await until(lambda: not other.alive, "the other node has left", 20, host)


def test_a_parent_waits_for_a_child_that_is_blocked(host: ProcessMesh) -> None:
    host.run("start", "parent", '"coffee"', "--id", "parent-1")
    wait_until(
        lambda: "! blocked" in host.run("list", "--definition", "order", "--state", "blocked").stdout, "blocked", 20
    )
    assert host.run("result", "parent-1", "--timeout", "1s").returncode == 7


# ── repaired ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_rolling_deploy_continues_it_and_nothing_runs_twice(
    host: ProcessMesh, apps: tuple[str, str], wrong_node: NervenetProcess
) -> None:
    still = host.run("retry", "order-1")
    assert still.returncode == 8 and "order-1 was replayed: blocked" in still.stderr
    (node,) = host.up(host.node(apps[1]))
    host.up(host.agent(app=apps[1]))
    wait = subprocess.Popen(
        [*NERVENET, "result", "order-1", "--keep-waiting"],
        env=host.env | {"NERVENET_ADDRESS": host.addresses},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wrong_node.kill(signal.SIGTERM)
        async with host.client(node) as client:
            assert await client.handle("order-1").result(timeout=30, wait_while_blocked=True) == 8
            assert await client.handle("parent-1").result(timeout=30) == 9
        assert host.effects("order-1") == ["fetched"]
        assert wait.communicate(timeout=30)[0] == "8\n"
    finally:
        wait.kill()


# ── a run that has failed ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_id_that_is_started_again_says_so_and_how_to_begin_again(host: ProcessMesh) -> None:
    assert host.run("start", "refused", '"cake"', "--id", "cake-1", "--wait").returncode == 1
    again = host.run("start", "refused", '"cake"', "--id", "cake-1")
    assert again.returncode == 1 and again.stdout == "cake-1\n"
    assert "cake-1 failed: ValueError: cake is sold out" in again.stderr
    assert "nervenet restart cake-1" in again.stderr


def test_restart_begins_one_more_run_with_the_same_input(host: ProcessMesh) -> None:
    done = host.run("restart", "cake-1")
    assert done.returncode == 0 and "cake-1 begins again: run 2 (refused v1)" in done.stderr
    wait_until(lambda: host.run("result", "cake-1", "--timeout", "9s").returncode == 1, "it fails again", 20)
    told = json.loads(host.run("show", "cake-1", "--json").stdout)["workflow"]
    assert told["run"] == 2 and told["input"] == "cake"
    again = host.run("start", "refused", '"cake"', "--id", "cake-1")  # it is still the same request
    assert "exists with another input" not in again.stderr and again.returncode == 1


def test_restart_refuses_what_runs_and_what_is_not_there(host: ProcessMesh) -> None:
    host.run("start", "waits", '"tea"', "--id", "tea-1")
    refused = host.run("restart", "tea-1")
    assert refused.returncode == 4 and "tea-1 is RUNNING: cancel it first, or wait for its end" in refused.stderr
    assert host.run("restart", "nothing-1").returncode == 3
    calm = host.run("retry", "tea-1")
    assert calm.returncode == 0 and "tea-1 is not blocked: running" in calm.stderr


def test_retry_of_a_step(host: ProcessMesh) -> None:
    host.run("start", "asking", '"egg"', "--id", "egg-1")
    wait_until(lambda: "egg-1/fragile" in host.run("escalations", "list").stdout, "asks", 20)
    granted = host.run("retry", "egg-1", "fragile")
    assert granted.returncode == 0, granted
    wait_until(lambda: host.effects("egg-1") == ["tried", "tried"], "tried again", 20)
    over = host.run("retry", "cake-1", "refuse")
    assert over.returncode == 4 and "a failed step of it stays failed" in over.stderr
    assert "nervenet restart cake-1" in over.stderr
    assert host.run("retry", "egg-1", "nonsense").returncode == 4
    closed = host.run("retry", "cake-1")
    assert closed.returncode == 4 and "nervenet restart cake-1" in closed.stderr


def test_many_with_a_dry_run_and_a_question(host: ProcessMesh) -> None:
    for i in range(3):
        host.run("start", "refused", '"pie"', "--id", f"pie-{i}", "--wait", "--label", "batch=pie")
    chosen = ("--state", "failed", "--label", "batch=pie")
    dry = host.run("restart", *chosen, "--dry-run")
    assert dry.returncode == 0 and all(f"pie-{i}" in dry.stdout for i in range(3))
    assert "3 workflows would be restarted. Nothing was changed." in dry.stderr
    asked = host.run("restart", *chosen)
    assert asked.returncode == 2 and "restart 3 workflows: pass --yes to confirm" in asked.stderr
    done = host.run("restart", *chosen, "--yes")
    assert done.returncode == 0 and "3 workflows restarted." in done.stderr
    for i in range(3):
        wait_until(lambda i=i: host.run("result", f"pie-{i}", "--timeout", "9s").returncode == 1, "over", 20)  # type: ignore[misc]
    assert '"run": 2' in host.run("show", "pie-0", "--json").stdout
    both = host.run("restart", "pie-0", "tea-1", "--yes")
    assert both.returncode == 4 and "1 workflow restarted, 1 not." in both.stderr
    assert "No workflow matches: nothing to cancel." in host.run("cancel", "--label", "batch=none").stderr
    assert host.run("cancel").returncode == 2
    assert host.run("cancel", "tea-1", "--state", "running").returncode == 2
    assert host.run("cancel", "--definition", "waits", "--yes").returncode == 0


async def test_restart_cancels_a_blocked_run_and_begins_again(host: ProcessMesh) -> None:
    async with host.client() as client:
        run = await client.start("order", "cocoa", id="cocoa-1")
        await settled(run, State.BLOCKED, host)
        done = host.run("restart", "cocoa-1")
        assert done.returncode == 0 and "cocoa-1 begins again: run 2" in done.stderr
        assert (await settled(run, State.BLOCKED, host)).run == 2
        assert host.effects("cocoa-1") == ["fetched", "fetched"]
        await run.cancel()


# ── a capability that nobody serves ──────────────────────────────────────────────────────────────────────────────────


def test_call_says_that_nobody_serves_it_and_what_there_is(host: ProcessMesh) -> None:
    call = subprocess.Popen(
        [*NERVENET, "call", "fetchh", '"tea"', "--request-id", "typo"],
        env=host.env | {"NERVENET_ADDRESS": host.addresses},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert call.stderr is not None
    assert call.stderr.readline() == "No agent serves 'fetchh'. There are: fetch, fragile, refuse.\n"
    assert "waits until an agent serves it" in call.stderr.readline()
    call.send_signal(signal.SIGINT)
    _, rest = call.communicate(timeout=20)
    assert call.returncode == 130 and "task/typo goes on. To cancel it: nervenet cancel task/typo" in rest
    assert "● running" in host.run("list", "--definition", "nervenet.task").stdout
    host.run("cancel", "task/typo")


def test_at_a_terminal_ctrl_c_offers_to_cancel(host: ProcessMesh) -> None:
    ours, theirs = pty.openpty()
    env = host.env | {"NERVENET_ADDRESS": host.addresses, "TERM": "xterm", "NO_COLOR": "1"}
    words = [*NERVENET, "call", "fetchh", '"tea"', "--request-id", "typo-2"]
    call = subprocess.Popen(words, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        os.close(theirs)
        _read_until(ours, "Ctrl-C ends the wait")
        call.send_signal(signal.SIGINT)
        _read_until(ours, "Cancel task/typo-2? [y/N]")
        os.write(ours, b"y\n")
        assert call.wait(20) == 130
    finally:
        call.kill()
        os.close(ours)
    wait_until(lambda: "canceled" in host.run("list", "--definition", "nervenet.task").stdout, "canceled", 10)


def _read_until(terminal: int, words: str) -> None:
    said, deadline = "", time.monotonic() + 20
    while words not in " ".join(said.split()):
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.5)[0]:
            said += os.read(terminal, 65536).decode()
