# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for: a real Valkey, a real etcd and a namespace of its own.

The servers live as long as the pytest worker and are started synchronously, so they belong to no event loop: tests keep
their function-scoped loops. Tests that kill or reconfigure a server start their own with `nervenet.dev.servers`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nervenet.dev.servers import Server, etcd, valkey
from nervenet.heap import collect_seldom
from tests.support.forked import forking
from tests.support.permissions import nothing_is_refused

if TYPE_CHECKING:
    from tests.support.mesh import ProcessMesh

# A shell ignores SIGINT for what it starts in the background, and every process of the tests would inherit that: no Ctrl-C
# would end it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Many container images set this variable. The tests start more than a thousand Python processes, and each of them would compile
# all of nervenet.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False

PACE = 20_000, 20, 50
"""When the processes of the tests look for garbage: at Python's own pace that is 5 % of their time."""
collect_seldom()  # until all tests are imported: at Python's own pace that takes half as long again

collect_ignore = [
    *([] if "NERVENET_FRAMEWORKS" in os.environ else ["frameworks"]),
    *([] if "NERVENET_DASHBOARD" in os.environ else ["dashboard"]),
]
"""Folders that need what this environment does not have: `make frameworks` and `make dashboard-test` run them."""

LONG_FIRST = (
    "recovery",
    "docs",
    "benchmarks",
    "programs",
    "typing",
    "examples",
    "simulation",
    "conformance",
    "chaos",
    "answers",
    "cli",
    "process",
    "metrics",
    "transport",
    "security",
    "model",
    "dev",
    "gateway",
    "mesh",
    "compatibility",
    "http_door",
    "archive",
    "tenants",
)
"""Folders of long tests: begun first, so that none of them is left running alone when all else is done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {folder: rank for rank, folder in enumerate(LONG_FIRST)}
    here = Path(__file__).parent
    items.sort(
        key=lambda item: min((ranks.get(part, len(ranks)) for part in item.path.parts[len(here.parts) :]), default=0)
    )


def pytest_collection_finish() -> None:
    gc.freeze()  # all tests, which stay
    gc.set_threshold(*PACE)


@pytest.fixture(scope="session", autouse=True)
def forked_processes() -> Iterator[None]:
    """Nodes, agents and commands need not import nervenet again and again (`tests.support.forked`). EXEC=1: they do."""
    with forking() if not os.environ.get("EXEC") else nullcontext():
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_empty_dict() -> Iterator[None]:
    """The dict that workflows share as long as they need none of their own is never changed."""
    yield
    if (fold := sys.modules.get("nervenet.durable.fold")) is not None:
        assert not fold.EMPTY


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[Server]:
    """Meshes of processes on it run with the least permissions (`tests.support.permissions`)."""
    with valkey() as server, nothing_is_refused(server.url):
        yield server


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[Server]:
    with etcd() as server:
        yield server


@pytest.fixture(scope="session")
def nervenet_servers(shared_valkey: Server, shared_etcd: Server) -> tuple[Server, Server]:
    """What `mesh_client` stands on: the same servers, not another pair."""
    return shared_valkey, shared_etcd


@pytest.fixture
def redis_url(shared_valkey: Server) -> str:
    return shared_valkey.url


@pytest.fixture
def etcd_url(shared_etcd: Server) -> str:
    return shared_etcd.url


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str) -> Iterator[ProcessMesh]:
    """For nodes and agents as processes, in a namespace of their own. Nothing runs in it until the test starts it."""
    from tests.support.mesh import ProcessMesh  # a client and gRPC, which most tests do without

    with ProcessMesh(tmp_path, redis_url, etcd_url) as mesh:
        yield mesh


@pytest.fixture
def namespace() -> str:
    """Unique per test and run, so that tests share servers but never data."""
    return f"t-{uuid.uuid4().hex[:12]}"
