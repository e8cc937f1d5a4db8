# SPDX-License-Identifier: Apache-2.0
"""The benchmark beside other systems: what is not on the machine is skipped with its reason, and the rows are those of the table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import ROOT, clean_environment
from tests.support.sessions import processes_of_session
from tests.support.waiting import wait_until

BENCHMARKS = ROOT / "benchmarks"


def run(script: str, out: Path, *args: str, **settings: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    command = [sys.executable, str(BENCHMARKS / script), "--quick", "--out", str(out), *args]
    env = clean_environment(**settings)
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, env=env, cwd=out.parent, check=False)
    assert done.returncode == 0, done.stderr
    return done, json.loads(out.read_text())


@pytest.mark.long  # a mesh, and an environment that is made in vain
@pytest.mark.timeout(180)
def test_what_cannot_be_installed_is_skipped_with_its_reason_and_the_others_are_measured(tmp_path: Path) -> None:
    done, found = run(
        "peer_table.py",
        tmp_path / "peers.json",
        *("--only", "nervenet", "taskiq"),
        BENCH_ENVIRONMENTS=str(tmp_path / "environments"),
        PIP_NO_INDEX="1",
    )

    assert list(found["skipped"]) == ["taskiq"]
    assert "No matching distribution found" in found["skipped"]["taskiq"]
    assert "**taskiq**: skipped, installation failed: " in done.stdout
    assert [(row["work_ms"], row["concurrency"]) for row in found["rows"]] == [(0, 1), (0, 10), (50, 1), (50, 10)]
    for row in found["rows"]:
        assert row["system"] == "nervenet" and row["version"] and "may be killed" in row["durability"]
        assert row["workflows_per_s"] > 0
        assert 4 * row["work_ms"] < row["p50_ms"] <= row["p99_ms"]
        assert 10 < row["coordinator_mb"] < 200
        assert row["cpu_ms_per_workflow"].keys() == {"client", "coordinator", "agent", "valkey", "etcd"}


@pytest.mark.parametrize("script", ["peer_table.py", "langgraph_four.py"])
def test_a_system_that_does_not_exist_is_refused_with_the_names_of_those_that_do(script: str) -> None:
    command = [sys.executable, str(BENCHMARKS / script), "--only", "airflow"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())
    assert done.returncode == 2
    assert "airflow" in done.stderr and "langgraph-postgres" in done.stderr and "nervenet" in done.stderr


@pytest.mark.parametrize(
    ("page", "command"),
    [("docs/benchmarks.md", "make bench-langgraph"), ("docs/benchmarks/peers.md", "make bench-peers")],
)
def test_a_page_has_the_place_that_publishing_fills_and_nothing_else_changes(
    page: str, command: str, tmp_path: Path
) -> None:
    copy, before = tmp_path / "page.md", (ROOT / page).read_text()
    copy.write_text(before)
    code = "import sys; from pathlib import Path; from peers.table import publish; publish(Path(sys.argv[1]), sys.argv[2], 'figures')"
    subprocess.run(
        [sys.executable, "-c", code, str(copy), command], cwd=BENCHMARKS, env=clean_environment(), check=True
    )

    begin, end = (f"<!-- Written by `{command}`, {which} -->" for which in ("begin", "end"))
    head, tail = before.partition(begin)[0], before.partition(end)[2]
    assert copy.read_text() == f"{head}{begin}\n\nfigures\n\n{end}{tail}"


@pytest.mark.long
@pytest.mark.timeout(120)
def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(BENCHMARKS / "peer_table.py"),
        "--only",
        "nervenet",
        "--out",
        str(tmp_path / "p.json"),
    ]
    with (tmp_path / "log").open("w+") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env=clean_environment(), start_new_session=True)
        wait_until(lambda: "round 1" in (tmp_path / "log").read_text(), "it measures", 60)
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(40) == 130
        log.seek(0)
        assert "Interrupted" in log.read()
    wait_until(lambda: not processes_of_session(running.pid), "every process has ended", 20)


SHARED = """
from environments import Missing
from peers.running import backings

tries = 0


def no_server():
    global tries
    tries += 1
    raise Missing("initdb failed")


with backings() as servers:
    for _ in range(2):
        try:
            servers._get("postgres", no_server)
        except Missing as reason:
            print(reason)
print(tries)
"""


def test_a_server_that_does_not_start_is_the_reason_for_each_system_that_needs_it() -> None:
    command = [sys.executable, "-c", SHARED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment(), cwd=BENCHMARKS)
    assert done.stdout.splitlines() == ["initdb failed", "initdb failed", "1"], done.stderr
