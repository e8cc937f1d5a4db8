# SPDX-License-Identifier: Apache-2.0
"""A whole mesh by mTLS, whose certificates and authority all change while workflows run on it.

Two nodes and an agent as processes, Redis and etcd by mTLS, an agent that speaks only gRPC, and a client. The authority is
changed as docs/howto/certificates.md says: trust both, issue again, trust the new one only.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nervenet import Client, errors
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.dev.servers import Server
from nervenet.security.issue import DevAuthority
from nervenet.timing import FILE_LOOK_EVERY
from nervenet.v1 import task_pb2
from tests.gateway.world import Speaker, value_of
from tests.mesh.stories import errand, greet, orphan
from tests.support.environment import clean_environment, nervenet
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.waiting import until
from tests.transport.parties import Authorities, Files, Party
from tests.transport.peers import grpc_tls
from tests.transport.stores import drop_connections, etcd_url, redis_url, reload, secured_etcd, secured_valkey

pytestmark = pytest.mark.long


class Sealed(NamedTuple):
    """The mesh, and who has which files."""

    mesh: ProcessMesh
    ours: Authorities
    parties: dict[str, Party]
    redis: Server

    def environment(self, party: str, place: dict[str, str]) -> dict[str, str]:
        settings = self.parties[party].settings("mtls", server=True)
        return {f"NERVENET_{name.upper()}": str(value) for name, value in settings.items() if name != "tls_mutual"} | {
            "NERVENET_REDIS": redis_url(place["redis"], self.parties[party], "mtls"),
            "NERVENET_ETCD": etcd_url(place["etcd"], self.parties[party], "mtls"),
        }

    def config(self, party: str) -> Config:
        told = {"address": self.mesh.addresses, "namespace": self.mesh.namespace}
        return Config.load(environ={}, **told, **self.parties[party].settings("mtls"))

    def trust(self, *authorities: DevAuthority) -> None:
        for party in self.parties.values():
            party.trust(*authorities)
        reload(self.redis, self.parties["redis"])

    def issue(self, kind: str) -> None:
        for party in self.parties.values():
            party.get(kind)
        reload(self.redis, self.parties["redis"])


async def all_have_looked() -> None:
    """Whoever makes a connection after this time uses the files as they are now: that is promised, and what operators wait."""
    await asyncio.sleep(FILE_LOOK_EVERY)


ROLES = {"redis": "node", "etcd": "node", "node": "node", "agent": "agent", "speaker": "agent", "operator": "operator"}


@pytest.fixture
def sealed(tmp_path: Path, ours: Authorities) -> Iterator[Sealed]:
    parties = {name: ours.party(name, role) for name, role in ROLES.items()}
    parties["etcd"].trust(ours.first, ours.second)  # it reads this file only when it starts
    with ExitStack() as stack:
        redis, redis_at = stack.enter_context(secured_valkey(parties["redis"], "mtls"))
        _, etcd_at = stack.enter_context(secured_etcd(parties["etcd"], "mtls"))
        mesh = stack.enter_context(ProcessMesh(tmp_path, "redis://unused", "http://unused"))
        sealed = Sealed(mesh, ours, parties, redis)
        place = {"redis": redis_at, "etcd": etcd_at}
        mesh.env |= sealed.environment("node", place)
        mesh.up(mesh.node(), mesh.node())
        mesh.up(mesh.agent(**sealed.environment("agent", place)))
        yield sealed


async def test_workflows_go_on_while_all_certificates_and_the_authority_change(sealed: Sealed) -> None:
    mesh, ours = sealed.mesh, sealed.ours
    gate = asyncio.Event()
    began: list[int] = []

    async def served_by_the_speaker(task: task_pb2.TaskEnvelope) -> Any:
        began.append(task.attempt)
        await gate.wait()
        return value_of(task.input)

    addresses = [node.address for node in mesh.nodes]
    tls = grpc_tls(sealed.parties["speaker"].settings("mtls"))
    speaker = Speaker(lambda: addresses, {"nobody_serves_this": served_by_the_speaker}, tls=tls)
    async with speaker, Client(config=sealed.config("operator")) as client, RawClient(sealed.config("operator")) as raw:
        held = await client.start(errand, "held")
        spoken = await client.start(orphan, "spoken")
        await mesh.effect("held", "said")
        await until(lambda: began, "the gateway's agent runs its task", of=mesh)
        watch = raw.stream("WatchWorkflow", workflow_id=held.id)
        await anext(watch)
        finished: list[list[str]] = []

        async def work_on() -> None:
            while True:
                finished.append(await (await client.start(greet, ["a", "b"])).result(timeout=20))

        working = asyncio.create_task(work_on())
        steps = (
            lambda: sealed.issue("good"),
            lambda: sealed.trust(ours.first, ours.second),
            lambda: sealed.issue("second"),
            lambda: sealed.trust(ours.second),
        )
        for step in steps:
            step()
            await all_have_looked()
            drop_connections(sealed.redis)  # so that all connect again
            done = len(finished)
            await until(lambda: working.done() or len(finished) > done + 5, "workflows begin and end", of=mesh)  # noqa: B023
            assert not working.done(), (working.exception(), mesh.logs())
        working.cancel()

        mesh.open("held")
        assert await held.result(timeout=20) == ["first!", "held: once upon a time", "last!"]
        gate.set()
        assert await spoken.result(timeout=20) == "x"
        assert [line.partition(" pid")[0] for line in mesh.effects("held")] == ["said #1", "done #1"], (
            "nothing ran twice"
        )
        assert began == [1], "nor there"
        async with asyncio.timeout(20):
            while (await anext(watch)).entry.name != "close":  # the earlier stream, on its old connection
                pass


async def test_after_the_change_who_is_new_is_served_and_who_is_old_is_not(sealed: Sealed, tmp_path: Path) -> None:
    """A node dies, and another one, an agent and a client with certificates of the new authority take over from there."""
    mesh, ours = sealed.mesh, sealed.ours
    left_behind = ours.party("left-behind", "operator")
    async with Client(config=sealed.config("operator")) as client:
        held = await client.start(errand, "held")
        await mesh.effect("held", "said")
        sealed.trust(ours.first, ours.second)
        await all_have_looked()
        sealed.issue("second")
        await all_have_looked()
        sealed.trust(ours.second)
        await all_have_looked()
        (await owner_of(held, mesh.nodes)).kill()
        mesh.up(mesh.node())
        async with Client(config=sealed.config("operator")) as fresh:
            assert await (await fresh.start(greet, ["new"])).result(timeout=20) == ["new!"]
        mesh.open("held")
        assert (await held.result(timeout=30))[0] == "first!"
    left_behind.trust(ours.first, ours.second)
    settings = left_behind.settings("mtls") | {"address": mesh.addresses, "namespace": mesh.namespace}
    async with RawClient(Config.load(environ={}, **settings)) as old:
        with pytest.raises(errors.Unavailable, match="NERVENET_TLS_CERT must be valid"):
            await old.call("ListWorkflows", timeout=1.5)


async def test_a_mesh_with_the_files_and_lines_of_certs_dev(tmp_path: Path) -> None:
    """What `nervenet certs dev` prints is the environment of a mesh that works; only the ports of the servers are others."""
    folder = tmp_path / "certs"
    printed = nervenet("certs", "dev", str(folder), env=clean_environment()).stdout
    node, agent, client, _ = (exports(part) for part in printed.split("\n\n"))
    redis, etcd = (
        Files(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key") for name in ("redis", "etcd")
    )
    with secured_valkey(redis, "mtls") as (_, redis_at), secured_etcd(etcd, "mtls") as (_, etcd_at):
        for environment in (node, agent):
            environment["NERVENET_REDIS"] = environment["NERVENET_REDIS"].replace("127.0.0.1:6380", redis_at)
        node["NERVENET_ETCD"] = node["NERVENET_ETCD"].replace("127.0.0.1:2379", etcd_at)
        with ProcessMesh(tmp_path, "redis://unused", "http://unused") as mesh:
            mesh.up(mesh.node(**node))
            mesh.up(mesh.agent(**agent))
            config = Config.load(environ=client, address=mesh.addresses, namespace=mesh.namespace)
            async with Client(config=config) as caller:
                assert await caller.run(greet, ["dev"]) == ["dev!"]


def exports(text: str) -> dict[str, str]:
    """The variables that a shell would have after these lines."""
    words = (shlex.split(line)[1].partition("=") for line in text.splitlines() if line.startswith("export "))
    return {name: value for name, _, value in words}
