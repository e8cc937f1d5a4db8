# SPDX-License-Identifier: Apache-2.0
"""A tenant against everything of another one, by every method of the contract.

What we hear must not depend on whether they have it: each call is made twice in our namespace, once about what is theirs
and once about what exists nowhere, and the two answers are the same, words and details included. Nothing of theirs is in
an answer, and nothing of theirs has changed. Then they make the same call, and for most methods they hear something else:
so the calls do reach what they are about.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from nervenet.rpc.methods import METHODS, RpcMethod
from tests.tenants.outcomes import Caller
from tests.tenants.requests import REQUESTS
from tests.tenants.state import everything_of, settled
from tests.tenants.world import ARRANGEMENTS, Arrangement, Belongings, Tenancy, nowhere

pytestmark = pytest.mark.long

Ask = Callable[[RpcMethod, dict[str, Any], Belongings], Awaitable[str]]

SAME_FOR_ALL = {"ListEjections", "ListNodes"}
"""Methods that take no id and give no payload: what is looked for is only their ids."""
CREATING = {"StartWorkflow", "StartWorkflows", "StreamStarts", "RunTask", "PutDefinition", "RegisterAgent", "Connect"}
"""Methods that leave something in our namespace, under an id that they have in theirs."""


@pytest.fixture
async def tenancy(redis_url: str, etcd_url: str) -> AsyncIterator[Tenancy]:
    async with Tenancy(redis_url, etcd_url) as tenancy:
        yield tenancy


def test_every_method_has_a_row() -> None:
    """A new one must say how it could reach what belongs to somebody else."""
    assert set(REQUESTS) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
async def test_what_is_theirs_is_for_us_as_if_it_were_nowhere(name: str, tenancy: Tenancy) -> None:
    theirs = await tenancy.furnish()
    await _attack(tenancy, METHODS[name], theirs)
    if name not in SAME_FOR_ALL:
        await _they_hear_something_else(tenancy, METHODS[name], theirs)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS[1:])
async def test_so_it_is_on_other_nodes(arrangement: Arrangement, redis_url: str, etcd_url: str) -> None:
    async with Tenancy(redis_url, etcd_url, arrangement) as tenancy:
        theirs = await tenancy.furnish()
        before = await settled(tenancy.theirs, tenancy)
        async with Caller(tenancy.config(tenancy.ours), tenancy.http[tenancy.ours]) as we:
            for method in sorted(METHODS.values(), key=lambda method: method.name in CREATING):
                await _hear_nothing(we.over_grpc, tenancy, method, theirs, nowhere())
        assert await everything_of(tenancy.theirs, tenancy) == before


async def _attack(tenancy: Tenancy, method: RpcMethod, theirs: Belongings) -> None:
    before = await settled(tenancy.theirs, tenancy)
    async with Caller(tenancy.config(tenancy.ours), tenancy.http[tenancy.ours]) as we:
        unreal = nowhere()
        await _hear_nothing(we.over_grpc, tenancy, method, theirs, unreal)
        if not method.streams_in:
            await _hear_nothing(we.over_http, tenancy, method, theirs, unreal)
    assert await everything_of(tenancy.theirs, tenancy) == before


async def _hear_nothing(ask: Ask, tenancy: Tenancy, method: RpcMethod, theirs: Belongings, unreal: Belongings) -> None:
    for about_theirs, about_nothing in _pairs(method, theirs, unreal):
        heard = await ask(method, about_theirs, theirs)
        assert heard == await ask(method, about_nothing, unreal)
        assert tenancy.canary not in heard
        assert tenancy.theirs not in heard


async def _they_hear_something_else(tenancy: Tenancy, method: RpcMethod, theirs: Belongings) -> None:
    """One of the requests at least gives them an answer that is about what they have."""
    async with Caller(tenancy.config(tenancy.theirs), tenancy.http[tenancy.theirs]) as they:
        unreal = nowhere()
        for about_theirs, about_nothing in _pairs(method, theirs, unreal):
            heard = await they.over_grpc(method, about_theirs, theirs)
            if tenancy.canary in heard or heard != await they.over_grpc(method, about_nothing, unreal):
                return
    pytest.fail(f"{method.name} gives them nothing either: the row does not test anything")


def _pairs(method: RpcMethod, theirs: Belongings, unreal: Belongings) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    row = REQUESTS[method.name]
    return list(zip(row(theirs), row(unreal), strict=True))
