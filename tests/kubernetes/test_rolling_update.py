# SPDX-License-Identifier: Apache-2.0
"""The short form of `make kubernetes-run`: every pod of the chart is replaced under load, by its own commands and signals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kubernetes.run import HELM
from tests.support.environment import ROOT


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.skipif(not HELM.exists(), reason="helm is not built: run tools/kubernetes.sh")
def test_a_rolling_update_of_all_loses_and_repeats_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.kubernetes.run", "--at-once", "30", "--out", str(tmp_path / "report.json")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=570, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 nodes and 4 agents replaced" in ran.stdout
