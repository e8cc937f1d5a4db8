# SPDX-License-Identifier: Apache-2.0
"""Servers and savers for the tests of NervenetSaver."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nervenet.dev.servers import Server, valkey
from nervenet.integrations.langgraph import NervenetSaver
from tests.support.environment import ROOT
from tests.support.permissions import make_user

SaverFactory = Callable[..., NervenetSaver]


@pytest.fixture(scope="session")
def redis7() -> Iterator[Server]:
    """A Redis 7, found or fetched by tools/redis7."""
    found = subprocess.run([ROOT / "tools/redis7"], capture_output=True, text=True, timeout=300, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip().splitlines()[-1])
    program = found.stdout.strip()

    def command(port: int, folder: Path) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no", "logfile": ""}
        return [program, *(str(word) for name, value in options.items() for word in (f"--{name}", value))]

    with Server("redis7", command, "Ready to accept connections", scheme="redis", data=None, port=0) as server:
        yield server


@pytest.fixture(params=["valkey", "redis7"])
def server(request: pytest.FixtureRequest) -> Server:
    """The embedded Valkey, and then a Redis 7."""
    chosen: Server = request.getfixturevalue({"valkey": "shared_valkey", "redis7": "redis7"}[request.param])
    return chosen


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A Valkey that the test may stop."""
    with valkey() as server:
        yield server


@pytest.fixture
def make_saver(redis_url: str) -> Iterator[SaverFactory]:
    """Makes savers of one namespace, which no other test uses, and closes them. They have the least permissions."""
    own = f"t{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:

        def make(url: str = "", *, namespace: str = own, **options: Any) -> NervenetSaver:
            user = url or make_user(redis_url, "checkpoints", namespace)
            return stack.enter_context(NervenetSaver.from_url(user, namespace=namespace, **options))

        yield make


@pytest.fixture
def saver(make_saver: SaverFactory) -> NervenetSaver:
    return make_saver()
