# SPDX-License-Identifier: Apache-2.0
"""A mesh with certificates and a token asks both of gateway agents, and keeps its promises to those that have them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from nervenet import Client
from nervenet.config import Config
from nervenet.v1 import agent_service_pb2 as pb
from nervenet.v1 import task_pb2
from tests.gateway.app import call
from tests.gateway.world import Speaker, connected, hello, refused, result, value_of
from tests.mesh.conftest import host
from tests.support.certificates import Authority, Issued
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.waiting import until

__all__ = ["host"]

APP = "tests/gateway/app.py"
FIRST = pb.ConnectRequestItem(hello=hello("work"))
ALLOWED = [("authorization", "Bearer s3cret")]


class Sealed(NamedTuple):
    """Nodes that show a certificate, and ask one of everybody."""

    host: ProcessMesh
    ours: Issued
    tls: grpc.ChannelCredentials

    @property
    def node(self) -> NervenetProcess:
        """One that lives."""
        return self.host.nodes[-1]

    def client(self, node: NervenetProcess) -> Client:
        ca, cert, key = map(str, self.ours)
        told = {"address": node.address, "namespace": self.host.namespace, "token": "s3cret"}
        return Client(config=Config.load(environ={}, tls=ca, tls_cert=cert, tls_key=key, **told))


@pytest.fixture(scope="module")
def sealed(host: ProcessMesh) -> Sealed:
    ours = Authority(host.folder / "ours").issue("node")
    ca, cert, key = map(str, ours)
    env = {"NERVENET_TLS": ca, "NERVENET_TLS_CERT": cert, "NERVENET_TLS_KEY": key, "NERVENET_TOKEN": "s3cret"}
    host.up(host.node(APP, **env), host.node(APP, **env))
    return Sealed(host, ours, shown(ours, ours))


def shown(trusted: Issued, mine: Issued | None = None) -> grpc.ChannelCredentials:
    """TLS that trusts one authority, and shows a certificate of one's own if there is one."""
    roots = trusted.ca.read_bytes()
    if mine is None:
        return grpc.ssl_channel_credentials(roots)
    return grpc.ssl_channel_credentials(roots, mine.key.read_bytes(), mine.cert.read_bytes())


async def test_without_the_token_an_agent_is_told_so(sealed: Sealed) -> None:
    wrong = [("authorization", "Bearer guessed")]
    for metadata in ((), wrong):
        told = await refused(sealed.node.address, metadata=metadata, tls=sealed.tls)  # before it has said anything
        assert told == ("UNAUTHENTICATED", "BAD_TOKEN")


async def test_without_the_certificates_nothing_answers(sealed: Sealed, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").issue("node")
    for tls in (None, shown(sealed.ours), shown(stranger), shown(sealed.ours, stranger)):
        assert await refused(sealed.node.address, FIRST, metadata=ALLOWED, tls=tls) == ("UNAVAILABLE", "")


async def test_a_node_that_asks_no_certificate_still_shows_its_own(sealed: Sealed, tmp_path: Path) -> None:
    _, cert, key = map(str, sealed.ours)
    env = {"NERVENET_TLS": "on", "NERVENET_TLS_CERT": cert, "NERVENET_TLS_KEY": key, "NERVENET_TOKEN": "s3cret"}
    with ProcessMesh(tmp_path, sealed.host.redis, sealed.host.env["NERVENET_ETCD"]) as alone:
        (node,) = alone.up(alone.node(APP, **env))
        assert await refused(node.address, FIRST, metadata=ALLOWED) == ("UNAVAILABLE", "")
        async with connected(node.address, hello("work"), ALLOWED, shown(sealed.ours)) as stream:
            assert stream.welcome.namespace == alone.namespace


async def test_a_task_goes_there_and_back(sealed: Sealed) -> None:
    node = sealed.node
    async with connected(node.address, hello("work"), ALLOWED, sealed.tls) as stream, sealed.client(node) as client:
        run = await client.start(call, {"text": "ünïcode 🦑"})
        task = await stream.hear("task")
        await stream.say(task_completion=result(task, value_of(task.input)))
        assert (await stream.hear("result_ack")).recorded
        assert await run.result(timeout=20) == {"text": "ünïcode 🦑"}
        await stream.say(goodbye=pb.Goodbye())
        assert await stream.end() == ("OK", "")


async def test_when_its_node_is_killed_it_goes_to_another_with_what_it_runs(sealed: Sealed) -> None:
    began: list[int] = []
    gate = asyncio.Event()

    async def work(task: task_pb2.TaskEnvelope) -> Any:
        began.append(task.attempt)
        await gate.wait()
        return value_of(task.input)

    victim, heir = sealed.host.nodes
    where = [victim.address, heir.address]
    speaker = Speaker(lambda: where, {"work": work}, metadata=ALLOWED, tls=sealed.tls)
    async with speaker, sealed.client(heir) as client:
        first = speaker.agent_id
        assert speaker.at == victim.address
        run = await client.start(call, "kept")
        await until(lambda: began, "it runs")
        victim.kill()
        victim.wait()
        await until(lambda: len(speaker.welcomes) > 1, "it is at the other node")
        assert (speaker.at, speaker.agent_id) == (heir.address, first)
        gate.set()
        assert await run.result(timeout=20) == "kept"
        await until(lambda: speaker.acked, "its result is acknowledged")
        assert speaker.acked[0].recorded and began == [1], "nothing ran twice"
