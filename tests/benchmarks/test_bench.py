# SPDX-License-Identifier: Apache-2.0
"""The benchmarks run, and write what scripts rely on. Not how fast: a test machine says nothing about that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def bench(script: str, out: Path, *args: str) -> tuple[str, Any]:
    """What it prints, and what it writes."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--out", str(out), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(out.read_text())


@pytest.mark.long
def test_throughput_writes_a_row_for_each_system_and_concurrency(tmp_path: Path) -> None:
    small = ("--concurrency", "1", "5", "--rounds", "1", "--seconds", "0.3", "--parked", "0", "--work-ms", "1")
    printed, found = bench("throughput.py", tmp_path / "bench" / "throughput.json", *small)

    assert [(row["concurrency"], row["system"]) for row in found["rows"]] == [
        (1, "pump"),
        (1, "nervenet"),
        (5, "pump"),
        (5, "nervenet"),
    ]
    for row in found["rows"]:
        assert list(row) == [
            "system",
            "concurrency",
            "work_ms",
            "workflows_per_s",
            "p50_ms",
            "p99_ms",
            "node_rss_mb",
            "cpu_ms_per_workflow",
        ]
        assert row["work_ms"] == 1
        assert row["workflows_per_s"] > 0
        assert 4 < row["p50_ms"] <= row["p99_ms"]  # four steps of a millisecond each
        assert 5 < row["node_rss_mb"] < 200
        assert row["cpu_ms_per_workflow"].keys() == (
            {"coordinator", "agent", "valkey"}
            if row["system"] == "pump"
            else {"client", "node", "agent", "valkey", "etcd"}
        )
    assert "of pump" in printed
    assert "%" in printed


@pytest.mark.long
def test_memory_says_what_parked_workflows_cost(tmp_path: Path) -> None:
    printed, found = bench("memory.py", tmp_path / "memory.json", "--parked", "200")

    assert found["parked"] == 200
    assert found["node_rss_mb"] >= found["idle_rss_mb"] > 20
    assert found["kb_per_workflow"] < 50  # two hundred are too few to say it finely
    assert "200 parked workflows" in printed


@pytest.mark.long
def test_builds_compares_this_build_with_another_revision(tmp_path: Path) -> None:
    small = ("--concurrency", "5", "--rounds", "1", "--seconds", "0.3", "--parked", "0")
    printed, found = bench("builds.py", tmp_path / "builds.json", "HEAD", *small)

    assert [(row["round"], row["system"]) for row in found["rows"]] == [(0, "this"), (0, "other")]
    assert "ratio" in printed


@pytest.mark.long
def test_tokens_reach_their_watchers_all_and_in_order(tmp_path: Path) -> None:
    small = ("--streams", "1", "3", "--every-ms", "20", "--seconds", "0.5")
    printed, found = bench("tokens.py", tmp_path / "tokens.json", *small)

    assert [(row["streams"], row["tokens"], row["lost_or_out_of_order"]) for row in found["rows"]] == [
        (1, 25, 0),
        (3, 75, 0),
    ]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"] for row in found["rows"])
    assert "Redis commands" in printed


@pytest.mark.long
def test_variants_measures_each_environment_in_turn(tmp_path: Path) -> None:
    small = ("--concurrency", "1", "--rounds", "2", "--seconds", "0.3")
    printed, found = bench("variants.py", tmp_path / "variants.json", "NERVENET_LOG_LEVEL=error", *small)

    assert [(row["round"], row["system"]) for row in found["rows"]] == [
        (0, "this"),
        (0, "NERVENET_LOG_LEVEL=error"),
        (1, "NERVENET_LOG_LEVEL=error"),
        (1, "this"),
    ]
    assert all(row["cpu_ms"] > row["client"] > 0 and row["waits"]["node"] > 1 for row in found["rows"])
    assert "1 at once" in printed


def test_variants_says_what_a_variant_is(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "variants.py"), "grpcio"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1 and "use python=COMMAND, rev=REVISION, NAME==VERSION or NAME=VALUE" in done.stderr
