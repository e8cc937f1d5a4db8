# SPDX-License-Identifier: Apache-2.0
"""The README's Hello: its file run by `nervenet dev`, its commands typed, its production told on the same servers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.docs.blocks import blocks, commands, runs_on
from tests.support.dev import Dev
from tests.support.environment import ROOT, clean_environment
from tests.support.mesh import ProcessMesh

PAGE = ROOT / "README.md"


def tell(folder: Path) -> None:
    hello = blocks(PAGE, "python")[0]
    with Dev(folder, hello.text, app=hello.file) as dev:
        ours = clean_environment(NERVENET_ADDRESS=dev.address)
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
        _production(dev)


def _production(dev: Dev) -> None:
    """The same file as two processes, on the servers that it is told."""
    told = [command.line for command in commands(PAGE) if runs_on(command)]
    (export,) = (line for line in told if line.startswith("export "))
    assert re.findall(r"(\w+)=", export) == ["NERVENET_REDIS", "NERVENET_ETCD"]
    outside = dev.folder / "outside"
    outside.mkdir()
    app = str(dev.app)
    with ProcessMesh(outside, dev.facts["redis"], dev.facts["etcd"][0]) as host:
        assert "nervenet node hello.py" in told
        host.up(host.node(app))
        (agent,) = (line for line in told if line.startswith("nervenet agent hello.py "))
        host.up(host.agent(*agent.split()[3:], app=app))
        assert json.loads(host.run("start", "welcome", '["Joan"]', "--wait").stdout) == ["Hello, Joan"]
