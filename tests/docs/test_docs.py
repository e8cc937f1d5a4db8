# SPDX-License-Identifier: Apache-2.0
"""What README and docs show is run: their Python, their commands in the order of the page, and their links."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dev.standing import Dev
from tests.docs.blocks import PAGES, ROOT, Command, blocks, commands, environment, on_a_terminal, program_of, steady
from tests.mesh.world import Host

README, CLI = ROOT / "README.md", ROOT / "docs/cli.md"
OUTSIDE = ("make ", "nervenet dev", "nervenet node", "nervenet agent ")
"""Commands that set up a machine or run until they are stopped: told elsewhere, or by a test of their own."""


@pytest.fixture(name="environment")
def as_somebody_who_set_nothing() -> dict[str, str]:
    return environment()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http://", "https://"))]
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, link


@pytest.mark.parametrize("page", [page for page in PAGES if program_of(page)], ids=lambda page: page.name)
def test_every_block_of_python_runs(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """The blocks of a page are one program, each going on where the one before it ended."""
    for block in blocks(page, "python"):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    program = tmp_path / "page.py"
    program.write_text(program_of(page), encoding="utf-8")
    ran = subprocess.run([sys.executable, str(program)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_example_is_the_file_that_is_shipped() -> None:
    shipped = (ROOT / "examples/hello.py").read_text(encoding="utf-8").partition("\n")
    assert shipped[0].startswith("# SPDX") and shipped[2].strip() == blocks(README, "python")[0].text.strip()


def test_hello_as_the_readme_tells_it(tmp_path: Path, environment: dict[str, str]) -> None:
    with Dev(tmp_path, blocks(README, "python")[0].text) as dev:
        environment["NERVENET_ADDRESS"] = dev.address
        ran = 0
        for command in commands(README):
            if command.line.startswith(OUTSIDE):
                continue
            line = command.line.replace("localhost:7700", dev.address)
            done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if command.shows:
                assert done.stdout == command.shows, line
            if line.startswith("grpcurl"):
                assert json.loads(done.stdout)["workflow"]["output"] == {"value": ["Hello, Joan"]}
            ran += 1
        assert ran == 3


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("letters")
    (folder / "letters.py").write_text(blocks(CLI, "python")[0].text, encoding="utf-8")
    with Dev(folder, blocks(CLI, "python")[0].text) as dev:
        yield dev


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_the_command_line_as_its_page_shows_it(letters: Dev, environment: dict[str, str]) -> None:
    environment["NERVENET_ADDRESS"] = letters.address
    told = [command for command in commands(CLI) if not command.line.startswith(OUTSIDE)]
    assert len(told) > 15
    for command in told:
        _, said = on_a_terminal(command.line, letters.folder, environment)
        assert steady(said) == steady(command.shows), f"$ {command.line}\n{said}"


def test_what_the_processes_say_as_the_page_shows_it(letters: Dev, tmp_path: Path) -> None:
    shown: dict[str, Command] = {command.line.split()[1]: command for command in commands(CLI)}
    banner = [line for line in letters.log.read_text().splitlines() if not line.startswith("{")]
    said = "\n".join(banner[:4]).replace("app.py", "letters.py").replace(f" --address {letters.address}", "")
    said = re.sub(r" --address \S+", "", said)
    assert steady(said) == steady(shown["dev"].shows)
    with Host(tmp_path, letters.facts["redis"], letters.facts["etcd"][0]) as host:
        app = str(letters.folder / "letters.py")
        (node,) = host.up(host.node(app))
        (agent,) = host.up(host.agent("--only", "draft", "--name", "writer", app=app))
        for role, name in ((node, "node"), (agent, "agent")):
            line = next(line for line in role.log.splitlines() if not line.startswith("{"))
            assert steady(line) == steady(shown[name].shows)
