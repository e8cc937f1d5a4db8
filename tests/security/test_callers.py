# SPDX-License-Identifier: Apache-2.0
"""A server knows who calls before it decodes anything, and tells the rules."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nervenet.errors import Unauthorized
from nervenet.security import Caller
from tests.security.serving import Serving
from tests.support.certificates import Authority


class Rules:
    """Rules that write down what they are asked, and refuse one RPC."""

    def __init__(self, refused: str = "") -> None:
        self.asked: list[tuple[Caller, str, str, str]] = []
        self.refused = refused

    version = 0

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

    async def each(
        self, requests: AsyncIterator[Any], trace_id: str = "", opened: Callable[[Any], None] = print
    ) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    async def again(self, request: Any) -> None:
        raise AssertionError("these rules never change")


NOBODY = Caller("", "none")


async def test_without_credentials_everybody_is_nobody() -> None:
    rules = Rules()
    async with Serving(rules) as serving:
        assert await serving.over_grpc(None) == "OK"
        assert rules.asked == [
            (NOBODY, "default", "GetWorkflow", ""),
            (NOBODY, "default", "GetWorkflow", "GetWorkflowRequest"),
        ]
        assert await serving.over_http(None) == "OK"
        assert serving.servicer.served == [NOBODY, NOBODY]
        assert rules.asked[-1] == (NOBODY, "default", "GetWorkflow", "GetWorkflowRequest")


async def test_who_has_the_shared_token_is_one_of_the_mesh() -> None:
    rules = Rules()
    async with Serving(rules, token="s3cret", namespace="mine") as serving:
        assert await serving.over_both("s3cret") == "OK"
        assert serving.servicer.served == [Caller("", "shared")] * 2
        asked = len(rules.asked)
        assert {namespace for _, namespace, _, _ in rules.asked} == {"mine"}
        for wrong in (None, "wrong", "s3cre", "s3crets"):
            assert await serving.over_both(wrong) == "UNAUTHENTICATED BAD_TOKEN"
        assert len(rules.asked) == asked, "the rules are not asked about strangers"


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
    node, mine = authority.issue("node"), authority.issue("seven", san=san)
    rules = Rules()
    async with Serving(rules, tls=node.ca, tls_cert=node.cert, tls_key=node.key) as serving:
        assert await serving.over_grpc(None, tls_cert=mine.cert, tls_key=mine.key, tls=mine.ca) == "OK"
        trusted = ssl.create_default_context(cafile=str(mine.ca))
        trusted.load_cert_chain(mine.cert, mine.key)
        assert await serving.over_http(None, verify=trusted) == "OK"
        over_grpc, over_http = serving.servicer.served
        assert (over_grpc.subject, over_grpc.means, over_grpc.claims["cn"]) == (subject, "mtls", "seven")
        assert sorted(over_grpc.claims["san"]) == sorted(name.partition(":")[2] for name in san.split(",") if name)
        assert over_grpc.expires is not None
        assert over_http == over_grpc
        assert rules.asked[0] == (over_grpc, "default", "GetWorkflow", ""), "known before anything is decoded"


async def test_a_name_that_only_looks_like_a_uri_is_nobodys(tmp_path: Path) -> None:
    """An authority that puts any text into a CN must not be able to make a SPIFFE id by it."""
    authority = Authority(tmp_path / "ca")
    node = authority.issue("node")
    mine = authority.issue("plain", san="", cn="spiffe:\\/\\/example.com\\/node")
    async with Serving(tls=node.ca, tls_cert=node.cert, tls_key=node.key) as serving:
        refused = await serving.over_grpc(None, tls_cert=mine.cert, tls_key=mine.key, tls=mine.ca)
        assert refused == "UNAUTHENTICATED BAD_CERTIFICATE"


async def test_with_mtls_and_a_shared_token_both_are_wanted_and_the_certificate_names_the_caller(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "ca")
    node, mine = authority.issue("node"), authority.issue("seven", san="DNS:seven.example.com")
    own = {"tls_cert": mine.cert, "tls_key": mine.key, "tls": mine.ca}
    async with Serving(Rules(), token="s3cret", tls=node.ca, tls_cert=node.cert, tls_key=node.key) as serving:
        assert await serving.over_grpc(None, **own) == "UNAUTHENTICATED BAD_TOKEN"
        assert await serving.over_grpc("wrong", **own) == "UNAUTHENTICATED BAD_TOKEN"
        assert await serving.over_grpc("s3cret", **own) == "OK"
        assert [(caller.subject, caller.means) for caller in serving.servicer.served] == [("seven.example.com", "mtls")]


async def test_what_the_rules_refuse_is_refused_before_its_request_is_read() -> None:
    rules = Rules("GetWorkflow")
    async with Serving(rules) as serving:
        assert await serving.over_grpc(None) == "PERMISSION_DENIED DENIED_BY_RULE"
        assert [known for *_, known in rules.asked] == [""]
        assert await serving.over_http(None) == "PERMISSION_DENIED DENIED_BY_RULE"
        assert [known for *_, known in rules.asked] == [""]


async def test_a_dns_name_that_looks_like_a_uri_names_nobody(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    node = authority.issue("node")
    eve = authority.issue("eve", san="DNS:spiffe\\://test/nervenet/node,DNS:eve.example.com")
    async with Serving(Rules(), tls=node.ca, tls_cert=node.cert, tls_key=node.key) as serving:
        assert await serving.over_grpc(None, tls_cert=eve.cert, tls_key=eve.key, tls=eve.ca) == "OK"
        (found,) = serving.servicer.served
        assert found.subject == "eve.example.com"
