# SPDX-License-Identifier: Apache-2.0
"""The short form. The long one is `make fuzz`."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from nervenet.rpc.methods import METHODS
from tests.fuzz.calls import KINDS
from tests.fuzz.mesh import APP, Fuzzing, Options
from tests.fuzz.values import Filler
from tests.support.mesh import ProcessMesh

pytestmark = pytest.mark.long


@pytest.mark.parametrize("token", [False, True], ids=["without a token", "with a token"])
async def test_no_call_hurts_a_node(tmp_path: Path, redis_url: str, etcd_url: str, token: bool) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}: python -m tests.fuzz --calls 2000 --seed {seed}{' --token' if token else ''}")
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=APP) as host:
        done = Fuzzing(Options(2_000, seed, token, KINDS), host)
        await done.run()
        assert not done.faults(), "\n".join(done.faults())
    assert done.codes["OK"] > 100 and done.codes["INVALID_ARGUMENT"] > 100, done.codes


def test_a_seed_makes_the_same_messages() -> None:
    def messages(seed: str) -> list[bytes]:
        filler = Filler(seed)
        return [filler.encoded(method.request()) for method in METHODS.values()]

    assert messages("7") == messages("7") != messages("8")
