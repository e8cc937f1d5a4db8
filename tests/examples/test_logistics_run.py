# SPDX-License-Identifier: Apache-2.0
"""`make logistics` as a whole, in a short form: nothing is lost, and the checks see what is done wrong on purpose."""

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
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def command(folder: Path, *flags: str) -> list[str]:
    out = ["--folder", str(folder), "--out", str(folder / "logistics.json")]
    return [sys.executable, "-m", "examples.logistics", *out, *flags]


def logistics(folder: Path, *flags: str, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        command(folder, *flags),
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert (folder / "logistics.json").exists(), done.stderr
    found: dict[str, Any] = json.loads((folder / "logistics.json").read_text())
    assert found["passed"] is (code == 0)
    return found


def test_nothing_is_lost_and_nothing_done_twice_while_a_node_is_killed(tmp_path: Path) -> None:
    found = logistics(tmp_path, "--updates", "600", "--minutes", "0.1", "--seed", "7")

    assert found["seed"] == 7
    fast, hour = found["parts"]
    assert fast["updates"] == 600 and not fast["kills"]
    (kill,) = hour["kills"]
    assert kill["in_flight"] > 0 and hour["workflows_taken_over"] > 0  # else the kill has shown nothing
    for row in (fast, hour):
        assert (row["lost"], row["doubled"], row["wrong"], row["crimes"]) == (0, 0, 0, [])
        assert row["people_asked"] == row["people_answered"] > 0
        assert row["carrier_retries"] > 0
        assert row["updates"] - row["faults"] < row["customers_notified"] < row["updates"]
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["updates_per_s"] > 0


@pytest.mark.parametrize(
    ("sabotage", "kind", "words"),
    [
        ("drop", "lost", "no node knows it"),
        ("double", "doubled", "2 messages were sent instead of 1"),
        ("repeat", "doubled", "send was asked again after its outcome was recorded"),
    ],
)
def test_the_checks_see_what_is_done_wrong_on_purpose(sabotage: str, kind: str, words: str, tmp_path: Path) -> None:
    found = logistics(tmp_path, "--updates", "60", "--minutes", "0.05", "--sabotage", sabotage, code=1)

    fast, hour = found["parts"]
    assert fast[kind] == 1 and any(words in crime for crime in fast["crimes"]), fast["crimes"]
    assert not hour["crimes"]


def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    with (tmp_path / "output").open("w+") as output:
        running = subprocess.Popen(
            command(tmp_path, "--updates", "2000", "--minutes", "1"),
            cwd=ROOT,
            env=clean_environment(LOGISTICS_MARK=str(tmp_path)),
            stdout=output,
            stderr=output,
        )
        wait_until(lambda: "agents are up" in (tmp_path / "output").read_text(), "the mesh is up", 60)
        assert len(_marked(str(tmp_path))) > 6
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(40) == 130
        output.seek(0)
        assert "nothing is left running" in output.read()
    wait_until(lambda: not _marked(str(tmp_path)), "every process has ended", 20)


def _marked(mark: str) -> list[str]:
    """The processes of the run, where the system shows their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"LOGISTICS_MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:  # gone meanwhile, or not ours
            continue
    return found
