# SPDX-License-Identifier: Apache-2.0
"""A script that ends in `asyncio.run(main())`, without a guard: one mesh, and nothing is left of it, however it ends."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from nervenet.mesh import LoadError
from nervenet.mesh_loader import load_mesh
from tests.dev.script import Script
from tests.docs.blocks import blocks, program_of
from tests.support.environment import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc"),
]

HOW_TOS = ("test", "ask-a-human", "llm-agent", "declared")
GUARD = 'if __name__ == "__main__":'


HELD = "everything ran, the mesh is still up"
BLOCK = re.compile(r"^    async with nervenet\.dev\.running\(mesh\) as client:\n(?:(?: {8}.*)?\n)+", re.MULTILINE)


def how_to(name: str, folder: Path, hold: str = "") -> Path:
    """What a reader copies from the page, with everything at the top of the file; `hold` is the mesh's last line."""
    page = ROOT / "docs/howto" / f"{name}.md"
    folder.mkdir()
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
    text, blocks_of_mesh = BLOCK.subn(lambda found: found[0] + hold, program_of(page).replace(GUARD, "if True:"))
    assert blocks_of_mesh == 1
    program = folder / "page.py"
    program.write_text(text, encoding="utf-8")
    return program


def test_the_how_tos_run_to_their_end_on_one_mesh_each(tmp_path: Path) -> None:
    with ExitStack() as stack:
        scripts = [stack.enter_context(Script(how_to(name, tmp_path / name))) for name in HOW_TOS]
        assert [script.ends() for script in scripts] == [0] * 4, [script.said for script in scripts]
        assert [script.meshes for script in scripts] == [1] * 4


@pytest.mark.parametrize(
    ("end", "code"), [(Script.kill, -signal.SIGKILL), (Script.interrupt, -signal.SIGINT)], ids=["kill -9", "Ctrl-C"]
)
def test_nothing_is_left_of_them(end: Callable[[Script], None], code: int, tmp_path: Path) -> None:
    hold = f'        print("{HELD}", flush=True)\n        await asyncio.sleep(3600)\n'
    with ExitStack() as stack:
        scripts = [stack.enter_context(Script(how_to(name, tmp_path / name, hold))) for name in HOW_TOS]
        for script in scripts:
            script.wait(lambda script=script: HELD in script.said, "never up")  # type: ignore[misc]  # default argument binds the loop's value
            end(script)
        assert [script.ends() for script in scripts] == [code] * 4, [script.said for script in scripts]
        assert [script.meshes for script in scripts] == [1] * 4


PROGRAM = """
import asyncio, os, sys
import nervenet.dev
from nervenet import Context, Mesh

mesh = Mesh("squares")


@mesh.agent(run="process", slots=2)
def square(n: int) -> int:
    return n * n


@mesh.workflow
async def squares(ctx: Context, upto: int) -> list[int]:
    return [await ctx.call(square, n) for n in range(upto)]


async def main() -> None:
    async with nervenet.dev.running(mesh) as client:
        print(await client.run(squares, 5), flush=True)
        await asyncio.sleep(3600)


asyncio.run(main())
print("defined below what started the mesh")
"""


def test_a_process_pool_imports_it_too_and_goes_with_it(tmp_path: Path) -> None:
    program = tmp_path / "unguarded.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with Script(program) as script:
        script.wait(lambda: "[0, 1, 4, 9, 16]" in script.said, "no result")
        script.kill()
        assert script.ends() == -signal.SIGKILL
        assert script.meshes == 1


def test_a_mesh_that_the_command_line_would_start_while_it_imports_is_refused_with_its_line(tmp_path: Path) -> None:
    program = tmp_path / "unguarded.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with pytest.raises(LoadError) as refused:
        load_mesh(str(program))
    line = PROGRAM.splitlines().index("asyncio.run(main())") + 1
    assert f"unguarded.py:{line}: this starts a mesh when the file is imported" in str(refused.value)
    assert f"move it under {GUARD}" in str(refused.value)
