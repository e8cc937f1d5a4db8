# SPDX-License-Identifier: Apache-2.0
"""In `nervenet dev` a saved file repairs what an error has blocked, and every failure is logged with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dev import Dev

APP = """
from pathlib import Path
from nervenet import CallOptions, Context, Mesh, RetryPolicy

mesh = Mesh("shop")


@mesh.agent
async def count(item: str) -> int:
    with Path("effects.txt").open("a") as file:
        file.write(f"{item} ")
    return 2


@mesh.agent(options=CallOptions(retry=RetryPolicy(max_attempts=1)))
async def breaks(item: str) -> int:
    return {}[item]


@mesh.workflow
async def order(ctx: Context, item: str) -> int:
    prices = {"tea": 3}
    return await ctx.call(count, item) * prices[item]


@mesh.workflow
async def fails(ctx: Context, item: str) -> int:
    return await ctx.call(breaks, item)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def line(words: str) -> int:
    return 1 + next(i for i, text in enumerate(APP.splitlines()) if words in text)


def test_a_saved_file_continues_what_an_error_has_blocked(tmp_path: Path) -> None:
    with Dev(tmp_path, APP) as dev:
        told = dev.run("start", "order", '"coffee"', "--id", "order-1", "--wait")
        where = f"app.py:{line('* prices[item]')}"
        assert told.returncode == 8 and f"KeyError: 'coffee' (order v1, {where})" in told.stderr, told
        assert f"{where}: KeyError: 'coffee'" in dev.logs()
        failed = dev.run("start", "fails", '"cake"', "--id", "cake-1", "--wait")
        assert failed.returncode == 1
        handler = f"KeyError: 'cake' ({dev.app}:{line('return {}[item]')})"
        assert f"cake-1: breaks#1 failed: {handler}" in dev.logs(), dev.logs()
        assert f"cake-1 is FAILED at breaks: {handler}" in dev.logs(), dev.logs()
        dev.app.write_text(APP.replace('{"tea": 3}', '{"tea": 3, "coffee": 4}'))
        ended = dev.run("result", "order-1", "--keep-waiting", "--timeout", "60s")
        assert (ended.returncode, ended.stdout) == (0, "8\n"), ended.stderr + dev.logs()
        assert (tmp_path / "effects.txt").read_text() == "coffee ", "a step ran twice"
