# SPDX-License-Identifier: Apache-2.0
"""Who may use which namespace of a node: a team has a certificate and a role in its own namespace only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nervenet import errors
from nervenet.client.raw import RawClient
from nervenet.rpc.methods import METHODS
from tests.support.certificates import Authority
from tests.tenants.world import Tenancy

POLICY = """
version: 1
roles:
  - {{role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/node"]}}
  - {{role: operator, namespaces: ["{ours}"], means: [mtls], subjects: ["spiffe://test/team/ours"]}}
"""


class Team:
    """A node of both tenants with a policy, and a team that is operator in one of them."""

    def __init__(self, tenancy: Tenancy, authority: Authority, address: str) -> None:
        self.tenancy, self.authority, self.address = tenancy, authority, address

    async def asks(self, namespace: str) -> RawClient:
        """The team, in that namespace."""
        ca, cert, key = map(str, self.authority.issue("ours", san="URI:spiffe://test/team/ours,IP:127.0.0.1"))
        config = self.tenancy.config(namespace, self.address, tls=ca, tls_cert=cert, tls_key=key)
        return await self.tenancy.stack.enter_async_context(RawClient(config))

    async def refusal(self, namespace: str, method: str) -> tuple[str, str]:
        """The reason and the words of a refused call."""
        raw = await self.asks(namespace)
        with pytest.raises(errors.RequestError) as refused:
            await _call(raw, method)
        return refused.value.reason, refused.value.message.replace(namespace, "<namespace>")


@pytest.fixture
async def team(redis_url: str, etcd_url: str, tmp_path: Path) -> AsyncIterator[Team]:
    tenancy, authority = Tenancy(redis_url, etcd_url), Authority(tmp_path / "ca")
    ca, cert, key = map(str, authority.issue("node", san="URI:spiffe://test/nervenet/node,IP:127.0.0.1"))
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.format(ours=tenancy.ours))
    tenancy.settings = {"tls": ca, "tls_cert": cert, "tls_key": key, "policy": str(policy)}
    async with tenancy:
        yield Team(tenancy, authority, tenancy.process.address)


async def _call(raw: RawClient, method: str) -> None:
    if not METHODS[method].streams_out:
        await raw.call(method, timeout=10)
    else:
        async for _ in raw.stream(method):
            pass


UNARY = [name for name, method in METHODS.items() if not method.streams_in]


@pytest.mark.parametrize("method", UNARY)
async def test_a_namespace_that_one_may_not_use_is_refused_as_one_that_is_not_there(method: str, team: Team) -> None:
    refused = await team.refusal(team.tenancy.theirs, method)
    assert refused == await team.refusal("somebody", method)
    assert refused[0] == "WRONG_NAMESPACE"


async def test_in_its_own_namespace_the_team_may_do_what_its_role_says(team: Team) -> None:
    raw = await team.asks(team.tenancy.ours)
    assert (await raw.call("ListWorkflows")).namespace_count == 0
    assert len((await raw.call("ListNodes")).nodes) == 1
