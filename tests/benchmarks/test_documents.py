# SPDX-License-Identifier: Apache-2.0
"""The document pipeline runs in a short form, and a lost page is seen. Not how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import ROOT, clean_environment

pytestmark = pytest.mark.long  # seven processes for each test
STEPS = ["ocr", "split", "extract", "validate", "store"]


def documents(out: Path, *args: str, **settings: str) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what it prints, what it writes. 36,000 documents an hour, ten a second, with work of 50 to 150 ms."""
    short = ("--rates", "36000", "--seconds", "1", "--idle-s", "0.3", "--out", str(out))
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/documents.py"), *short, *args],
        cwd=out.parent,
        env=clean_environment(PIPELINE_WORK_S="0.05 0.15", **settings),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, json.loads(out.read_text())


def test_documents_take_little_longer_than_their_work(tmp_path: Path) -> None:
    code, printed, found = documents(tmp_path / "documents.json", "--seed", "7")

    assert code == 0 and found["seed"] == 7
    (row,) = found["rows"]
    assert row["slots"] == dict.fromkeys(STEPS, 7) | {"extract": 23}  # 1 + 4 √1 + 2, and 4 + 4 √(4 × 4.5) + 2
    assert row["documents"] > 1 and 2 <= row["pages"] / row["documents"] <= 6
    assert 250 < row["ideal_p50_ms"] < row["p50_ms"] <= row["p99_ms"]  # five steps of at least 50 ms
    assert 0 < row["added_p50_ms"] <= row["added_p99_ms"]
    assert 20 < row["node_mb"] < 200 and 20 < row["largest_agent_mb"] < 200
    for field in ("idle_cpu_percent", "cpu_ms_per_document", "cpu_ms_per_document_above_idle"):
        assert row[field].keys() == {"client", "node", "agents", "valkey", "etcd"}
    assert "36,000" in printed


def test_a_lost_page_is_seen(tmp_path: Path) -> None:
    code, printed, found = documents(tmp_path / "documents.json", PIPELINE_SABOTAGE="1")

    (row,) = found["rows"]
    assert code == 1 and len(row["failed"]) == row["documents"] > 0
    assert "wrong result" in printed
