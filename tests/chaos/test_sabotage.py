# SPDX-License-Identifier: Apache-2.0
"""The torture can fail: a law is broken on the way to Redis, and the command says so and ends with 1."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import KINDS, schedule
from tests.chaos.sabotage import KINDS as SABOTAGES
from tests.chaos.sabotage import Exchange, chosen, liar
from tests.support.environment import ROOT


@pytest.mark.long
async def test_a_broken_law_is_reported_and_the_exit_is_not_zero(tmp_path: Path) -> None:
    env = {**os.environ, "SABOTAGE": "1", "WORKFLOWS": "30", "FOLDER": str(tmp_path / "run")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos",
        cwd=ROOT, env=env | {"REPORT": str(tmp_path / "report.json")}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    report = json.loads((tmp_path / "report.json").read_text())
    assert process.returncode == 1
    assert "double" in {law for _, law, _, _ in report["violations"]}
    last = output.decode().splitlines()[-1]
    assert last.startswith(f"chaos: {len(report['violations'])} violations · 30 workflows")


@pytest.mark.parametrize("kind", SABOTAGES)
def test_every_sabotage_fits_the_scripts_as_they_are(kind: str) -> None:
    assert liar(kind) is not None


def test_there_is_no_sabotage_unless_asked_for() -> None:
    assert chosen("") == ""
    assert liar("") is None
    with pytest.raises(SystemExit, match="choose one of"):
        chosen("rubbish")


@pytest.mark.parametrize("cut", range(12))
def test_a_lie_is_told_also_where_a_read_ends_in_it(cut: int) -> None:
    exchange = Exchange([(b"truth", b"false")])
    said = b"the truth\r\n."
    assert exchange(said[:cut]) + exchange(said[cut:]) == b"the false\r\n."


@pytest.mark.parametrize("setting", KINDS)
def test_a_seed_repeats_its_faults_and_knows_every_kind(setting: str) -> None:
    faults = schedule("7", setting, 600, 2)
    assert faults == schedule("7", setting, 600, 2) != schedule("8", setting, 600, 2)
    assert {fault.kind for fault in faults} == set(KINDS[setting])
