# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin as somebody meets it who has nervenet installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.environment import clean_environment

APP = """
from nervenet import Context, Mesh

mesh = Mesh("app")


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.workflow
async def welcome(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name)
"""

TESTS = """
import pytest
import app
from app import mesh


@pytest.mark.asyncio
async def test_welcome(mesh_client):
    assert await mesh_client.run(app.welcome, "Ada", id="w") == "Hello, Ada"


@pytest.mark.asyncio
async def test_each_has_a_namespace_of_its_own(mesh_client):
    assert [w.id async for w in mesh_client.list()] == []
"""

OWN_FIXTURE = """
import pytest
import app


@pytest.fixture
def mesh():
    return app.mesh


@pytest.mark.asyncio
async def test_welcome(mesh_client):
    assert await mesh_client.run(app.welcome, "Ada") == "Hello, Ada"
"""

NO_MESH = """
import pytest


@pytest.mark.asyncio
async def test_welcome(mesh_client):
    pass
"""


def test_the_fixture_is_there_and_says_what_it_needs(tmp_path: Path) -> None:
    files = {"app.py": APP, "test_module.py": TESTS, "test_fixture.py": OWN_FIXTURE, "test_none.py": NO_MESH}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = {name: value for name, value in clean_environment().items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path, env=environment | {"NERVENET_ADDRESS": "somebody.example:1"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "3 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "test_none has no Mesh called `mesh`" in done.stdout and "from app import mesh" in done.stdout


def test_it_costs_nothing_where_nobody_uses_it() -> None:
    program = (
        "import sys, nervenet.testing.plugin; print({'pydantic', 'grpc', 'redis', 'google.protobuf'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
