# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin (entry point `nervenet`): the fixture `mesh_client`, a whole mesh for one test.

    mesh = app.mesh                                   # in the test's module or conftest, or as a fixture of that name

    async def test_welcome(mesh_client: Client) -> None:
        assert await mesh_client.run(app.welcome, ["Ada"]) == ["Hello, Ada"]

Valkey and etcd start once for each pytest session (and xdist worker); each test has its own namespace. pytest loads this
file wherever nervenet is installed, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nervenet import Client, Mesh
    from nervenet.dev.servers import Server

_async_fixture = pytest.fixture
if not TYPE_CHECKING:
    with suppress(ImportError):  # anyio's plugin takes any; pytest-asyncio's strict mode only its own
        from pytest_asyncio import fixture as _async_fixture


@pytest.fixture(scope="session")
def nervenet_servers() -> Iterator[tuple[Server, Server]]:
    """An embedded Valkey and etcd that live as long as the session."""
    from nervenet.dev.servers import etcd, valkey

    with valkey() as redis, etcd() as registry:
        yield redis, registry


@_async_fixture
async def mesh_client(request: pytest.FixtureRequest, nervenet_servers: tuple[Server, Server]) -> AsyncIterator[Client]:
    """A client of the test's mesh, which one node and one agent in this process serve until the test is over."""
    from nervenet.clock import new_id
    from nervenet.dev.in_process import in_one_task, isolated
    from nervenet.process.together import serving

    config = isolated(*nervenet_servers, namespace=new_id("test"))
    async with in_one_task(serving(_mesh(request), config, node=True, agents=True)) as client:
        yield client


def _mesh(request: pytest.FixtureRequest) -> Mesh:
    """The fixture `mesh`, or the test module's attribute of that name."""
    from nervenet import Mesh

    try:
        found: Any = request.getfixturevalue("mesh")
    except pytest.FixtureLookupError:
        found = getattr(request.module, "mesh", None)
    if not isinstance(found, Mesh):
        raise pytest.UsageError(
            f"mesh_client finds no mesh: {request.module.__name__} has no Mesh called `mesh`, "
            "and there is no fixture `mesh`. Write: from app import mesh"
        )
    return found
