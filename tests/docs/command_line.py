# SPDX-License-Identifier: Apache-2.0
"""The page of the command line: every command in its order on one mesh, and what its processes say when they start."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import Command, banners, blocks, check, commands, runs_on, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh

PAGE = ROOT / "docs/cli.md"


def tell(folder: Path) -> None:
    source = blocks(PAGE, "python")[0].text
    (folder / "letters.py").write_text(source, encoding="utf-8")
    with Dev(folder, source) as letters:
        typed = [command for command in commands(PAGE) if not runs_on(command)]
        assert len(typed) > 15
        for command in typed:
            check(command, folder, letters.address)
        _processes(letters)


def _processes(letters: Dev) -> None:
    shown: dict[str, Command] = {command.line.split()[1]: command for command in commands(PAGE)}
    assert steady(banners(letters.log)[0].replace("app.py", "letters.py")) == steady(shown["dev"].shows)
    outside = letters.folder / "outside"
    outside.mkdir()
    with ProcessMesh(outside, letters.facts["redis"], letters.facts["etcd"][0]) as host:
        app = str(letters.folder / "letters.py")
        (node,) = host.up(host.node(app))
        (agent,) = host.up(host.agent("--only", "draft", "--name", "writer", app=app))
        for role, name in ((node, "node"), (agent, "agent")):
            line = next(line for line in role.log.splitlines() if not line.startswith("{"))
            assert steady(line) == steady(shown[name].shows)
