# SPDX-License-Identifier: Apache-2.0
"""The canaries of a mesh in which everybody has a name: JWTs, named tokens, keys of certificates, logins at Redis and etcd over TLS, the
credentials of the archive's bucket, what KEDA's scaler is asked. Each is searched in all that the mesh writes, answers and shows.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import grpc
import httpx
import pytest
import redis
from moto.server import ThreadedMotoServer

from nervenet.rpc.methods import METHODS
from tests.kubernetes.scaling import Keda
from tests.security.test_canary import Searched
from tests.security.test_named_tokens import TokensFile
from tests.support.certificates import Authority, Issued
from tests.support.environment import nervenet
from tests.support.etcd_servers import etcdctl
from tests.support.issuer import AUDIENCE, Issuer, issuing
from tests.support.mesh import ProcessMesh
from tests.support.redis_servers import say
from tests.support.waiting import wait_until
from tests.transport.stores import etcd_url, redis_url, secured_etcd, secured_valkey

APP = "tests/security/canary_app.py"
pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]  # the mesh is started in the first test
WORDS = ("redis", "etcd", "s3", "scaler", "stranger")
TOKENS = ("node", "agent", "person", "expired", "named", "revoked")
KEYS = ("tls", "redis-user", "etcd-user")


class World:
    """The secrets by name, and the servers that know them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.words = {name: f"canary-{name}-{secrets.token_hex(8)}" for name in WORDS}
        authority = Authority(folder / "ca")
        self.issued = {name: authority.issue(name) for name in KEYS}
        self.issuer = stack.enter_context(issuing())
        self.tokens = TokensFile(folder)
        self.shown = {
            **{
                who: self._file(self.issuer, who, role)
                for who, role in (("node", "node"), ("agent", "agent"), ("person", "operator"))
            },
            "expired": self.issuer.token(sub="late", lasts=-3600),
            "named": self.tokens.add("named", role="operator"),
            "revoked": self.tokens.add("revoked"),
        }
        self.tokens.remove("revoked")
        self.mesh = stack.enter_context(self._mesh(stack))

    def _file(self, issuer: Issuer, who: str, role: str) -> str:
        token = issuer.token(sub=who, roles=[role], lasts=3600)
        (self.folder / f"{who}.jwt").write_text(token)
        return token

    def _mesh(self, stack: ExitStack) -> ProcessMesh:
        tls = self.issued["tls"]
        store, redis_at = stack.enter_context(secured_valkey(tls, "mtls"))  # type: ignore[arg-type]  # the same three files
        say(store, "ACL", "SETUSER", "mesh", "on", f">{self.words['redis']}", "~*", "&*", "+@all")
        registry, etcd_at = stack.enter_context(secured_etcd(tls, "mtls"))  # type: ignore[arg-type]
        self.registry = registry.url
        for line in (f"user add root:{self.words['etcd']}", "user grant-role root root", "auth enable"):
            etcdctl(registry.url, *line.split())
        self.redis = redis_url(redis_at, self.issued["redis-user"], "mtls", f"mesh:{self.words['redis']}@")  # type: ignore[arg-type]
        etcd = etcd_url(etcd_at, self.issued["etcd-user"], "mtls", f"root:{self.words['etcd']}@")  # type: ignore[arg-type]
        mesh = ProcessMesh(
            self.folder,
            store.url,
            etcd,
            app=APP,
            NERVENET_TOKENS_FILE=str(self.tokens.path),
            NERVENET_JWT_ISSUER=self.issuer.url,
            NERVENET_JWT_AUDIENCE=AUDIENCE,
            NERVENET_TLS="on",
            NERVENET_TLS_CERT=str(tls.cert),
            NERVENET_TLS_KEY=str(tls.key),
            GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(tls.ca),
            NERVENET_TOKEN_FILE=str(self.folder / "person.jwt"),
            NERVENET_HTTP="127.0.0.1:0",
            NERVENET_METRICS="127.0.0.1:0",
            NERVENET_SCALER="127.0.0.1:0",
            NERVENET_LOG_LEVEL="debug",
            NERVENET_AUDIT=str(self.folder / "audit.jsonl"),
            NERVENET_ARCHIVE=f"s3://archive/canary?endpoint={self._bucket(stack)}&region=eu-test-1",
            AWS_ACCESS_KEY_ID="canary-user",
            AWS_SECRET_ACCESS_KEY=self.words["s3"],
        )
        mesh.env["NERVENET_REDIS"] = mesh._agents["NERVENET_REDIS"] = self.redis
        return mesh

    def _bucket(self, stack: ExitStack) -> str:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        stack.callback(server.stop)
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "canary-user", "aws_secret_access_key": self.words["s3"]}
        self.bucket = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="eu-test-1", **keys)
        self.bucket.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-test-1"})
        return f"http://{host}:{port}"

    def archived(self) -> str:
        """All that is in the bucket."""
        found = []
        for each in self.bucket.list_objects_v2(Bucket="archive").get("Contents", ()):
            body = self.bucket.get_object(Bucket="archive", Key=each["Key"])["Body"].read()
            packed = each["Key"].endswith(".gz")
            found += [each["Key"], (gzip.decompress(body) if packed else body).decode(errors="replace")]
        return "\n".join(found)

    def secret(self, name: str) -> str:
        """What must be nowhere: of a JWT its signature, of a key its last line."""
        if name in self.words:
            return self.words[name]
        if name in self.issued:
            return self.issued[name].key.read_text().splitlines()[-2]
        return self.shown[name].rpartition(".")[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("canary"), stack)


@pytest.fixture(scope="module")
def searched(world: World) -> Searched:
    mesh, found = world.mesh, Searched()
    mesh.up(mesh.node(NERVENET_TOKEN_FILE=str(world.folder / "node.jwt")))
    mesh.up(mesh.agent(NERVENET_TOKEN_FILE=str(world.folder / "agent.jwt")))
    job = json.dumps({"secret": "told to all", "fails": "told to all"})
    done = mesh.run("start", "ends", job, "--id", "ends", "--wait")
    assert done.returncode == 0, done.stderr + mesh.logs()
    _call(world, found)
    asyncio.run(_ask_scaler(world, found))
    wait_until(lambda: "told to all" in world.archived(), "the closed run is in the archive", 40, mesh)
    found.said["archive"] = world.archived()
    _read(world, found)
    return found


def _call(world: World, found: Searched) -> None:
    """Calls over HTTP with each token, good and bad."""
    (node,) = world.mesh.nodes
    trusted = ssl.create_default_context(cafile=str(world.issued["tls"].ca))
    with httpx.Client(base_url=f"https://{node.http}", verify=trusted, trust_env=False) as http:
        for name in (*TOKENS, "stranger"):
            token = world.shown.get(name, world.words["stranger"])
            answers = []
            for rpc in ("ListWorkflows", "ListNodes", "ListAgents", "CancelWorkflow"):
                path = f"/{METHODS[rpc].service}/{rpc}"
                answer = http.post(path, json={}, headers={"authorization": f"Bearer {token}"})
                answers.append(f"{answer.status_code} {answer.text} {answer.headers}")
            found.said[f"answers to {name}"] = "\n".join(answers)
            good = name in ("node", "person", "named")
            assert ("200" in answers[0]) == good, (name, answers[0])


async def _ask_scaler(world: World, found: Searched) -> None:
    """KEDA's metadata comes from a ScaledObject, in which people put anything."""
    (node,) = world.mesh.nodes
    mine = world.issued["tls"]
    made = grpc.ssl_channel_credentials(mine.ca.read_bytes(), mine.key.read_bytes(), mine.cert.read_bytes())
    async with grpc.aio.secure_channel(node.scaler, made) as channel:
        asked = {"namespace": world.mesh.namespace, "capability": "carry"}
        found.said["scaler"] = str(await Keda(channel, **asked).metrics())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Keda(channel, **asked, password=world.words["scaler"]).metrics()
        found.said["a refusal of the scaler"] = str(refused.value.details())


def _read(world: World, found: Searched) -> None:
    mesh = world.mesh
    for process in mesh.processes:
        found.said[f"log of the {process.kind}"] = process.log
        address = f"https://{process.metrics}" if process.kind == "node" else f"http://{process.metrics}"
        found.said[f"metrics of the {process.kind}"] = _page(address + "/metrics", world.issued["tls"])
    found.said["audit log"] = Path(mesh.env["NERVENET_AUDIT"]).read_text()
    login = ("--user", f"root:{world.words['etcd']}")
    found.said["registry"] = etcdctl(world.registry, *login, "get", "--prefix", "/")
    with redis.Redis.from_url(mesh.redis) as store:
        streams = [store.xrange(key) for key in store.scan_iter(_type="stream")]
        found.said["journals"] = str([store.dump(key) for key in store.scan_iter()] + streams)
    for command in (("config", "show"), ("doctor", "--json")):
        ran = mesh.run(*command)
        found.said[f"nervenet {' '.join(command)}"] = ran.stdout + ran.stderr
    for name, env in _broken(world).items():
        ran = nervenet("doctor", env=mesh.env | {"NERVENET_ADDRESS": mesh.addresses} | env)
        found.said[f"doctor with {name}"] = ran.stdout + ran.stderr


def _broken(world: World) -> dict[str, dict[str, str]]:
    """Settings that cannot be used: their errors quote files and URLs."""
    garbage = world.folder / "garbage.toml"
    garbage.write_text(f"[ci]\nhash = {world.shown['named']}\n")
    tls = world.issued["tls"]
    return {
        "tokens that are no TOML": {"NERVENET_TOKENS_FILE": str(garbage)},
        "a key where the certificate should be": {"NERVENET_TLS_CERT": str(tls.key), "NERVENET_TLS_KEY": str(tls.cert)},
        "a wrong port of Redis": {"NERVENET_REDIS": world.redis.replace("127.0.0.1:", "127.0.0.1:1")},
        "a wrong password": {"NERVENET_REDIS": world.redis.replace("mesh:", "nobody:")},
    }


def _page(url: str, tls: Issued) -> str:
    trusted: Any = ssl.create_default_context(cafile=str(tls.ca))
    try:
        return httpx.get(url, trust_env=False, verify=trusted).text
    except httpx.HTTPError:
        return httpx.get(url.replace("https:", "http:"), trust_env=False).text


@pytest.mark.parametrize("name", WORDS + TOKENS + KEYS)
def test_credentials_are_nowhere(world: World, searched: Searched, name: str) -> None:
    assert searched.holding(world.secret(name)) == []


def test_names_are_there_and_everything_was_read(world: World, searched: Searched) -> None:
    """A search that finds nothing at all would prove nothing."""
    assert '"subject": "named"' in searched.said["audit log"] or '"subject":"named"' in searched.said["audit log"]
    assert "told to all" in searched.said["archive"]
    assert all(searched.said.values()), [place for place, text in searched.said.items() if not text]
    assert len({world.secret(name) for name in WORDS + TOKENS + KEYS}) == len(WORDS + TOKENS + KEYS)
    assert all(len(world.secret(name)) >= 16 for name in WORDS + TOKENS + KEYS)
