# SPDX-License-Identifier: Apache-2.0
"""A changed policy counts without a restart, in open streams' next calls too; one that is broken changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nervenet.config import Config
from nervenet.errors import ConfigError, Unauthorized
from nervenet.rpc.access import Access
from nervenet.security import Caller
from nervenet.security.policies import Policies
from nervenet.timing import FILE_LOOK_AGAIN, FILE_LOOK_EVERY
from tests.policy.world import GuardedMesh

ONE = 'version: 1\nroles:\n  - {role: viewer, namespaces: ["*"], subjects: [a]}\n'
TWO = ONE.replace("viewer", "client")
A = Caller("a", "jwt")
START = "/nervenet.v1.CoordinatorService/StartWorkflow"


def allowed(policies: Policies) -> bool:
    answer = policies.current.decide(A, START, "default")
    return bool(getattr(answer, "allowed", False))


def test_a_new_text_counts_when_two_readings_have_found_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(ONE)
    policies = Policies(path)
    path.write_text(TWO)
    assert (policies.look(), allowed(policies)) == (FILE_LOOK_AGAIN, False)
    assert (policies.look(), allowed(policies)) == (FILE_LOOK_EVERY, True)


def test_a_broken_policy_keeps_the_last_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(TWO)
    policies = Policies(path)
    with caplog.at_level(logging.WARNING):
        for broken in ("version: 1\nroles: [{role: x}]", None):
            path.unlink() if broken is None else path.write_text(broken)
            for _ in range(3):
                policies.look()
            assert allowed(policies)
            assert policies.broken
        assert len(caplog.records) == 2, "each new mistake is logged once"
        assert f"{path}:2:" in caplog.text
        path.write_text(ONE)
        policies.look()
        policies.look()
    assert not policies.broken
    assert not allowed(policies)


def test_a_process_does_not_start_with_a_broken_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nroles: [{role: x}]")
    with pytest.raises(ConfigError, match=r"policy.yaml:2:16: role is one of"):
        Access(Config.load(environ={}, policy=path), "node")
    with pytest.raises(ConfigError, match="policy is"):
        Config.load(environ={}, policy=tmp_path / "none.yaml")


async def test_a_node_takes_a_right_away_and_gives_it_back(guarded: GuardedMesh) -> None:
    text = 'version: 1\nroles:\n  - {role: ROLE, namespaces: ["*"], subjects: [spiffe://test/nervenet/ada]}\n'
    await guarded.guarded(text.replace("ROLE", "client"))
    ada = await guarded.by("ada")

    async def may() -> bool:
        try:
            await ada.call("StartWorkflows", requests=[])
        except Unauthorized:
            return False
        return True

    assert await may()
    guarded.write_policy(text.replace("ROLE", "viewer"))
    await until_answers(may, False)
    guarded.write_policy(text.replace("ROLE", "client"))
    await until_answers(may, True)


async def until_answers(ask: Callable[[], Awaitable[bool]], wanted: bool) -> None:
    async with asyncio.timeout(20):
        while await ask() is not wanted:
            await asyncio.sleep(0.05)
