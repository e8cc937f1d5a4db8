# SPDX-License-Identifier: Apache-2.0
"""`nervenet.dev.running`: a mesh within the test's own process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import nervenet.dev
from nervenet import Context, Mesh, Signal

mesh = Mesh("hello")
go = Signal[str]("go", str)


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.workflow
async def welcome(ctx: Context, names: list[str]) -> list[str]:
    return await asyncio.gather(*(ctx.call(greet, name) for name in names))


@mesh.workflow
async def waits(ctx: Context) -> str:
    return await ctx.receive(go)


async def test_a_mesh_runs_in_this_process_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NERVENET_ADDRESS", "somebody.example:1")
    async with nervenet.dev.running(mesh) as client:
        assert await client.run(welcome, ["Ada", "Grace"]) == ["Hello, Ada", "Hello, Grace"]


async def test_with_data_a_later_one_continues(tmp_path: Path) -> None:
    async with nervenet.dev.running(mesh, data=tmp_path) as client:
        await client.start(waits, id="w-1")
    async with nervenet.dev.running(mesh, data=tmp_path) as client:
        handle = client.handle("w-1", waits)
        await handle.signal(go, "on")
        assert await handle.result(timeout=20) == "on"
