# SPDX-License-Identifier: Apache-2.0
"""The README's Hello: its file run by `nervenet dev`, its commands typed, its production told on the same servers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.dev.standing import Dev
from tests.docs.blocks import ROOT, blocks, commands, environment, runs_on

PAGE = ROOT / "README.md"


def tell(folder: Path) -> None:
    with Dev(folder, blocks(PAGE, "python")[0].text) as dev:
        ours = environment(NERVENET_ADDRESS=dev.address)
        ran = [command for command in commands(PAGE) if not runs_on(command)]
        for command in ran:
            line = command.line.replace("localhost:7700", dev.address)
            done = subprocess.run(line, shell=True, cwd=folder, env=ours, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if command.shows:
                assert done.stdout == command.shows, line
            if line.startswith("grpcurl"):
                assert json.loads(done.stdout)["workflow"]["output"] == {"value": ["Hello, Joan"]}
        assert len(ran) == 3
