# SPDX-License-Identifier: Apache-2.0
"""A server knows who calls before it decodes anything, and tells the rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nervenet.client.nodes import Nodes
from nervenet.config import Config
from nervenet.errors import Unauthorized
from nervenet.rpc.server import GrpcServer, Service
from nervenet.security import Caller, current_call
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.support.certificates import Authority


class Rules:
    """Rules that write down what they are asked, and refuse one RPC."""

    def __init__(self, refused: str = "") -> None:
        self.asked: list[tuple[Caller, str, str, str]] = []
        self.refused = refused

    def admit(self, caller: Caller, path: str, namespace: str, trace_id: Callable[[], str] = str) -> Asked:
        name = path.rpartition("/")[2]
        asked = (caller, namespace, name, "")
        if asked not in self.asked:  # it is asked again when the request is there, and remembers what it said
            self.asked.append(asked)
        if name == self.refused:
            raise Unauthorized("you may not", code="PERMISSION_DENIED", reason="DENIED_BY_RULE")
        return Asked(self, caller, namespace, name)

    def may_use(self, caller: Caller, namespace: str) -> bool:
        return True


class Asked:
    """Writes down each request."""

    def __init__(self, rules: Rules, *about: Any) -> None:
        self.rules = rules
        self.about = about

    async def before(self, request: Any, trace_id: str = "") -> None:
        self.rules.asked.append((*self.about, type(request).__name__))

    async def each(self, requests: AsyncIterator[Any], trace_id: str = "") -> AsyncIterator[Any]:
        async for request in requests:
            yield request


class Scripted:
    """Tells its servicers' view of the caller."""

    def __init__(self) -> None:
        self.served: list[Caller] = []

    async def GetWorkflow(self, request: Any, context: Any) -> Any:
        self.served.append(current_call().caller)
        return pb.GetWorkflowResponse()

    async def WatchWorkflow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.served.append(current_call().caller)
        yield pb.WatchWorkflowResponse()


class Serving:
    """A server with rules, and calls to it."""

    def __init__(self, rules: Rules, **settings: Any) -> None:
        self.rules = rules
        self.settings = settings
        self.servicer = Scripted()

    async def __aenter__(self) -> Serving:
        config = Config.load(environ={}, listen="127.0.0.1:0", **self.settings)
        services = [Service("nervenet.v1.CoordinatorService", self.servicer)]
        self.server = await GrpcServer.start(config, "node", services, asyncio.Event(), rules=self.rules)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.server.stop(0)

    async def get(self, **settings: Any) -> None:
        nodes = Nodes(Config.load(environ={}, address=self.server.address, **settings))
        try:
            await nodes.call("GetWorkflow", pb.GetWorkflowRequest(workflow_id="w"), timeout=5)
        finally:
            await nodes.close()


async def test_without_credentials_everybody_is_nobody() -> None:
    async with Serving(Rules()) as serving:
        await serving.get()
        nobody = Caller("", "none")
        assert serving.rules.asked == [
            (nobody, "default", "GetWorkflow", ""),
            (nobody, "default", "GetWorkflow", "GetWorkflowRequest"),
        ]
        assert serving.servicer.served == [nobody]


async def test_who_has_the_shared_token_is_one_of_the_mesh() -> None:
    async with Serving(Rules(), token="s3cret", namespace="mine") as serving:
        await serving.get(token="s3cret", namespace="mine")
        assert serving.servicer.served == [Caller("", "shared")]
        assert {namespace for _, namespace, _, _ in serving.rules.asked} == {"mine"}
        with pytest.raises(Unauthorized):
            await serving.get(token="wrong")
        assert len(serving.rules.asked) == 2, "rules are not asked about strangers"


@pytest.mark.parametrize(
    ("san", "subject"),
    [
        (
            "DNS:agent.example.com,URI:https://example.com/7,URI:spiffe://example.com/agent/7",
            "spiffe://example.com/agent/7",
        ),
        ("DNS:agent.example.com,URI:https://example.com/7", "https://example.com/7"),
        ("IP:127.0.0.1,DNS:agent.example.com", "agent.example.com"),
        ("IP:127.0.0.1", "127.0.0.1"),
        ("", "seven"),
    ],
)
async def test_a_certificate_names_its_holder(tmp_path: Path, san: str, subject: str) -> None:
    authority = Authority(tmp_path / "ca")
    node, caller = authority.issue("node"), authority.issue("seven", san=san)
    server = {"tls": node.ca, "tls_cert": node.cert, "tls_key": node.key}
    async with Serving(Rules(), **server) as serving:
        await serving.get(tls=str(caller.ca), tls_cert=caller.cert, tls_key=caller.key)
        (found,) = serving.servicer.served
        assert (found.subject, found.means, found.claims["cn"]) == (subject, "mtls", "seven")
        assert sorted(found.claims["san"]) == sorted(name.partition(":")[2] for name in san.split(",") if name)
        assert found.expires is not None
        assert [known for *_, known in serving.rules.asked] == ["", "GetWorkflowRequest"]
        assert serving.rules.asked[0][0] == found, "the rules know it before anything is decoded"


async def test_what_the_rules_refuse_is_refused_before_its_request_is_read() -> None:
    async with Serving(Rules("GetWorkflow")) as serving:
        with pytest.raises(Unauthorized) as refused:
            await serving.get()
        assert (refused.value.code, refused.value.reason) == ("PERMISSION_DENIED", "DENIED_BY_RULE")
        assert [known for *_, known in serving.rules.asked] == [""]


async def test_a_dns_name_that_looks_like_a_uri_names_nobody(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    node = authority.issue("node")
    caller = authority.issue("eve", san="DNS:spiffe\\://test/nervenet/node,DNS:eve.example.com")
    server = {"tls": node.ca, "tls_cert": node.cert, "tls_key": node.key}
    async with Serving(Rules(), **server) as serving:
        await serving.get(tls=str(caller.ca), tls_cert=caller.cert, tls_key=caller.key)
        (found,) = serving.servicer.served
        assert found.subject == "eve.example.com"
