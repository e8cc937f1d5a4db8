# SPDX-License-Identifier: Apache-2.0
"""The table runs as a whole, writes what scripts rely on, and no system loses a workflow to `kill -9`. Not how fast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import ROOT, clean_environment
from tests.support.sessions import processes_of_session
from tests.support.waiting import wait_until

SYSTEMS = ["nervenet", "central", "central-naive"]


def table(*args: str, out: Path) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, str(ROOT / "benchmarks/table.py"), "--quick", "--out", str(out), *args]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, env=clean_environment(), cwd=out.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(out.read_text())


@pytest.mark.long
@pytest.mark.timeout(300)  # six meshes of six to ten processes, one after another
def test_no_system_loses_a_workflow_to_kill_9(tmp_path: Path) -> None:
    printed, found = table("--only", "recovery", out=tmp_path / "table.json")

    rows = found["recovery"]
    assert [(row["workflow"], row["system"]) for row in rows] == [(w, s) for w in ("four", "twenty") for s in SYSTEMS]
    for row in rows:
        assert row["lost"] == 0
        assert row["started"] == 20
        assert 0 < row["hurt"] <= row["in_flight"] <= 20
        assert 0 <= row["first_step_min_ms"] <= row["first_step_max_ms"] <= row["last_end_ms"]
        assert row["restarted"] is (row["system"] != "nervenet")
        if row["system"] == "central":
            assert row["steps_repeated"] == 0  # its state, tasks and results change in one transaction
    assert "### Recovery" in printed


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_whole_table_for_a_moment(tmp_path: Path) -> None:
    printed, found = table("--seed", "7", "--only", "load", "memory", "linearity", out=tmp_path / "table.json")

    assert found["seed"] == 7
    assert "seed 7" in printed.splitlines()[0]
    assert [(row["work_ms"], row["concurrency"], row["system"]) for row in found["rows"]] == [
        (work_ms, concurrency, system) for work_ms in (0, 50) for concurrency in (1, 10) for system in SYSTEMS
    ]
    for row in found["rows"]:
        assert row["workflows_per_s"] > 0
        assert 4 * row["work_ms"] < row["p50_ms"] <= row["p99_ms"]
        assert 10 < row["coordinator_mb"] < 200
        assert row["cpu_ms_per_workflow"].keys() >= {"client", "coordinator", "agent", "valkey"}
    assert {(row["system"], row["rate"]) for row in found["open_loop"]} >= {(system, 20) for system in SYSTEMS}
    assert len(found["memory"]) == 9
    assert [row["agents"] for row in found["linearity"]] == [1, 1, 2, 2]
    for row in found["linearity"]:
        assert 0 < row["host_of_16_cores"]["host_with_one_valkey"] <= row["host_of_16_cores"]["host_with_a_cluster"]
    for name in ("latency.svg", "arrivals.svg"):
        drawing = ElementTree.parse(tmp_path / name).getroot()
        assert (
            len(drawing.findall("{http://www.w3.org/2000/svg}polyline")) == 12
        )  # p50 and p99 of three, and the legend


@pytest.mark.long
def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks/table.py"),
        "--only",
        "recovery",
        "--out",
        str(tmp_path / "t.json"),
    ]
    with (tmp_path / "log").open("w+") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env=clean_environment(), start_new_session=True)
        wait_until(lambda: len(processes_of_session(running.pid)) > 4, "servers and processes run", 60)
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(40) == 130
        log.seek(0)
        assert "Interrupted" in log.read()
    until = time.monotonic() + 20
    while processes_of_session(running.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not processes_of_session(running.pid)
