# SPDX-License-Identifier: Apache-2.0
"""The release before this tree, installed from its wheel, for processes that run beside those of this tree.

    mesh.node(**PREVIOUS.env(folder))

tests/releases/README.md says where the wheels come from. The wheel is installed without its dependencies into a folder that comes
first in PYTHONPATH: it runs on the libraries of this environment, so that what differs is nervenet alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.environment import ROOT

WHEELS = sorted((ROOT / "tests" / "releases").glob("nervenet-*.whl"))
PREVIOUS = WHEELS[-1]
"""The wheel of the newest release."""
VERSION = PREVIOUS.name.split("-")[1]


def install(folder: Path) -> dict[str, str]:
    """Install the previous release into the folder; the environment of a process that is to run it."""
    command = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(PREVIOUS)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    return {"PYTHONPATH": str(folder)}
