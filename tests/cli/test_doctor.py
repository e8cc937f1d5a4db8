# SPDX-License-Identifier: Apache-2.0
"""`nervenet doctor`: a healthy mesh passes, and each thing that goes wrong is named with its remedy."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nervenet.cli.doctor import certificates, etcd_checks, mesh_checks, redis_checks
from nervenet.cli.doctor.check import Check
from nervenet.cli.doctor.redis_checks import KeyFacts, RedisFacts
from nervenet.cli.render.text import View
from nervenet.clock import SYSTEM
from nervenet.config import Config
from nervenet.dev.servers import Server, etcd, free_port, valkey
from nervenet.registry.etcd import MemberStatus
from nervenet.security.pem import Validity
from nervenet.v1 import agent_pb2 as agent
from nervenet.v1 import registry_service_pb2 as registry
from tests.support.certificates import Authority
from tests.support.environment import clean_environment, nervenet
from tests.support.mesh import ProcessMesh
from tests.support.redis_servers import say
from tests.support.waiting import wait_until

APP = """
import time
from nervenet import Context, Mesh

mesh = Mesh("clinic")


@mesh.agent(slots=1)
def scan(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@mesh.workflow
async def visit(ctx: Context, seconds: float) -> str:
    return await ctx.call(scan, seconds)


@mesh.workflow
async def ward(ctx: Context, question: str) -> str:
    return await ctx.ask(question, answer=str)
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with valkey(options={"appendonly": "yes"}) as server:
        yield server


@pytest.fixture(scope="module")
def registered() -> Iterator[Server]:
    with etcd() as server:
        yield server


@pytest.fixture
def mesh(tmp_path: Path, redis: Server, registered: Server) -> Iterator[ProcessMesh]:
    (tmp_path / "app.py").write_text(APP)
    with ProcessMesh(tmp_path, redis.url, registered.url, app=str(tmp_path / "app.py")) as found:
        yield found


def examined(mesh: ProcessMesh, at: str = "") -> tuple[int, dict[str, Check]]:
    """The exit code, and each check by its name."""
    ran = mesh.run("doctor", "--json", at=at)
    told = json.loads(ran.stdout)
    assert set(told) == {"checks"}
    checks = [Check(**one) for one in told["checks"]]
    assert all(one.remedy or one.status == "ok" for one in checks), "whatever is wrong has a remedy"
    return ran.returncode, {one.name: one for one in checks}


def wrong(found: dict[str, Check]) -> set[str]:
    return {one.name for one in found.values() if one.status != "ok"}


# ── on real processes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_healthy_mesh_passes_every_check(mesh: ProcessMesh) -> None:
    mesh.start(2, 1)
    code, found = examined(mesh)
    assert (code, wrong(found)) == (0, set())
    assert found["nodes"].detail == "2 nodes, all of them answer"
    assert found["nodes.version"].detail == found["agents.version"].detail, "both say their release"
    assert "keys, all of them nervenet's" in found["redis.keys"].detail
    read = mesh.run("doctor")
    assert "✓ redis.persistence" in read.stdout and "checks passed." in read.stderr


def test_a_redis_that_would_lose_work_is_named(mesh: ProcessMesh, redis: Server) -> None:
    mesh.start(1, 1)
    say(redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    say(redis, "CONFIG", "SET", "appendonly", "no")
    say(redis, "SET", f"nn:{mesh.namespace}:cache", "of another program")
    try:
        code, found = examined(mesh)
    finally:
        say(redis, "CONFIG", "SET", "appendonly", "yes")
        say(redis, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert code == 1
    assert wrong(found) == {"redis.maxmemory-policy", "redis.persistence", "redis.keys"}
    assert "would delete journals" in found["redis.maxmemory-policy"].detail
    assert found["redis.maxmemory-policy"].remedy.startswith("set maxmemory-policy noeviction")
    assert f"1 of {found['redis.keys'].detail.split()[2]} keys are not nervenet's" in found["redis.keys"].detail


def test_work_that_nobody_does_is_named(mesh: ProcessMesh) -> None:
    mesh.start(1, 0)
    assert mesh.run("start", "visit", "0", "--id", "first").returncode == 0
    assert mesh.run("start", "ward", '"Operate?"', "--id", "second").returncode == 0
    wait_until(lambda: "Operate" in mesh.run("escalations", "list").stdout, "the question is open", 60)
    wait_until(lambda: "no agent serves scan" in examined(mesh)[1]["queues.served"].detail, "the task waits", 60)
    code, found = examined(mesh)
    assert (code, wrong(found)) == (1, {"agents", "queues.served"})
    assert found["queues.served"].remedy == "start one: nervenet agent APP --only scan"
    assert found["escalations"].detail.startswith("1 open question, the oldest ")


def test_an_agent_that_hangs_is_named(mesh: ProcessMesh) -> None:
    mesh.start(1, 1)
    hung = mesh.processes[-1]
    hung.kill(signal.SIGSTOP)
    try:
        # Its registration lives for some seconds more; then the mesh has no agent.
        wait_until(lambda: wrong(examined(mesh)[1]) == {"agents"}, "it is missed", 40)
    finally:
        hung.kill(signal.SIGCONT)


def test_what_an_agent_runs_is_listed(mesh: ProcessMesh) -> None:
    mesh.start(1, 1)
    assert mesh.run("start", "visit", "120", "--id", "long").returncode == 0
    which = json.loads(mesh.run("agents", "list", "--json").stdout)["agent"]["agentId"]
    wait_until(lambda: "long/scan" in mesh.run("agents", "tasks", which).stdout, "it runs", 60)
    task = json.loads(mesh.run("agents", "tasks", which, "--json").stdout)
    assert (task["workflowId"], task["capability"], task["attempt"]) == ("long", "scan", 1)


def test_servers_and_nodes_that_do_not_answer(tmp_path: Path) -> None:
    """Each examination waits for what does not answer. The one in which nothing does runs beside the others."""
    (tmp_path / "app.py").write_text(APP)
    gone = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    nothing = ProcessMesh(tmp_path, f"redis://{gone[0]}", f"http://{gone[1]}")
    with (
        valkey(options={"appendonly": "yes"}) as redis,
        etcd() as registered,
        ProcessMesh(tmp_path, redis.url, registered.url, app=str(tmp_path / "app.py")) as mesh,
        ThreadPoolExecutor() as beside,
    ):
        nobody = beside.submit(examined, nothing, gone[2])
        mesh.start(1, 1)
        address = mesh.addresses
        redis.kill()
        code, found = examined(mesh, address)
        assert code == 1 and "redis" in wrong(found) and "workflows.stuck" in wrong(found)
        assert found["redis"].remedy == "start it, or set NERVENET_REDIS to its address"
        assert found["etcd.members"].status == "ok" and found["nodes"].status == "ok", "the others are examined"
        registered.kill()
        assert "etcd" in wrong(examined(mesh, address)[1])
        code, found = nobody.result()
        assert (code, wrong(found)) == (1, {"redis", "etcd", "nodes"})


def test_a_machine_that_knows_no_servers_says_what_it_did_not_examine() -> None:
    ran = nervenet("doctor", "--address", "127.0.0.1:1", env=clean_environment())
    assert ran.returncode == 1
    assert "! redis" in ran.stdout and "→ set NERVENET_REDIS as the nodes do" in ran.stdout


# ── the decisions, from facts ────────────────────────────────────────────────────────────────────────────────────────

HEALTHY = {
    "redis_version": "7.2.4",
    "role": "master",
    "aof_enabled": "1",
    "maxmemory_policy": "noeviction",
    "maxmemory": "100",
}
LATE = {"used_memory": "10"}


@pytest.mark.parametrize(
    ("told", "name", "status", "words"),
    [
        ({"redis_version": "6.0.16"}, "redis.version", "error", "nervenet needs 6.2"),
        ({"aof_last_write_status": "err"}, "redis.persistence", "error", "cannot write its append-only file"),
        ({"used_memory": "85"}, "redis.memory", "warning", "85 B of 100 B"),
        ({"used_memory": "97"}, "redis.memory", "error", "refused soon"),
        ({"role": "slave"}, "redis.replication", "error", "is a replica"),
        (
            {"connected_slaves": "2", "slave0": "ip=a,state=online"},
            "redis.replication",
            "warning",
            "min-replicas-to-write is 0",
        ),
        ({"connected_slaves": "1", "slave0": "ip=a,state=wait_bgsave"}, "redis.replication", "warning", "1 of 1"),
    ],
)
def test_what_a_redis_says_of_itself(told: dict[str, str], name: str, status: str, words: str) -> None:
    facts = RedisFacts({**HEALTHY, **LATE, **told}, 1_000, 1_000, 0)
    found = {one.name: one for one in redis_checks.judge([facts], KeyFacts(), strict=False)}
    assert wrong(found) == {name}
    assert found[name].status == status and words in found[name].detail


def test_of_a_cluster_the_worst_server_is_told() -> None:
    good = RedisFacts({**HEALTHY, **LATE}, 1_000, 1_000, 0)
    late = RedisFacts({**HEALTHY, **LATE}, 9_000, 1_000, 0)
    found = {one.name: one for one in redis_checks.judge([good, late, good], KeyFacts(), strict=False)}
    assert (found["redis.clock"].status, found["redis.clock"].detail) == ("error", "8.0 s from this machine's clock")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            [MemberStatus("a", "3.5.1", True), MemberStatus("b", error="refused"), MemberStatus("c", "3.5.1")],
            "etcd.members",
        ),
        ([MemberStatus("a", "3.3.0", True)], "etcd.version"),
        ([MemberStatus("a", "3.5.1", True, alarms=("memberID:1 alarm:NOSPACE ",))], "etcd.alarms"),
        ([MemberStatus("a", "3.5.1", True, bytes=2_000_000_000)], "etcd.size"),
        ([MemberStatus("a", "3.5.1", True, seconds=0.9)], "etcd.speed"),
        ([MemberStatus("a", "3.5.1")], "etcd.leader"),
        ([MemberStatus("a", error="refused")], "etcd"),
    ],
)
def test_what_etcd_says_of_itself(members: list[MemberStatus], expected: str) -> None:
    assert wrong({one.name: one for one in etcd_checks.judge(members)}) == {expected}


NOW = 1_000_000_000


def entry(name: str, **load: Any) -> registry.AgentEntry:
    found = registry.AgentEntry(agent=agent.AgentRecord(agent_id=name, capabilities=[agent.Capability(name="scan")]))
    found.agent.register_time.FromMilliseconds(NOW - 3_600_000)
    found.load.sample_time.FromMilliseconds(NOW + load.pop("sampled", -500))
    if "average" in load:
        found.load.average_task_time.FromMilliseconds(load.pop("average"))
    found.load.MergeFrom(agent.Load(**load))
    return found


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: entry("a", average=10, error_rate=0.6), "agents.failures"),
        (lambda: entry("a", average=10, sampled=-20_000), "agents"),
        (lambda: entry("a", average=10, sampled=5_000), "agents.clock"),
        (lambda: entry("a"), "agents.picked"),
    ],
)
def test_what_agents_say_of_themselves(made: Callable[[], registry.AgentEntry], name: str) -> None:
    found = {one.name: one for one in mesh_checks.judge_agents([made(), entry("b", average=10)], View(False, 0, NOW))}
    assert wrong(found) == {name}
    assert "a" in found[name].detail


def test_a_certificate_that_ends_soon_and_one_that_has_ended() -> None:
    day = certificates.DAY
    long, short = Validity(0, 365 * day), Validity(0, day)
    cases = [
        (long, 335 * day, "ok", "node.pem is valid for 30 days"),
        (long, 362 * day, "warning", "node.pem is valid for 3 days"),
        (short, 0.5 * day, "ok", "node.pem is valid for 12 hours"),
        (short, 0.9 * day, "warning", "node.pem is valid for 2 hours"),
        (long, 366 * day, "error", "node.pem has expired"),
        (long, -day, "error", "node.pem is not valid yet"),
    ]
    for validity, now, status, said in cases:
        check = certificates.judge("certificate", "node.pem", validity, now)
        assert (check.status, check.detail[: len(said)]) == (status, said)


def test_the_certificates_of_all_settings_are_examined(tmp_path: Path) -> None:
    made, other = Authority(tmp_path / "one").issue("node"), Authority(tmp_path / "two").issue("node")
    good = f"ssl_ca_certs={made.ca}&ssl_certfile={made.cert}&ssl_keyfile={made.key}"
    config = Config.load(
        environ={},
        tls=str(made.ca),
        tls_cert=str(made.cert),
        tls_key=str(made.key),
        redis=f"rediss://localhost?{good}",
        etcd=f"https://localhost?cacert={made.ca}&cert={made.cert}&key={other.key}",
    )
    found = {one.name: one for one in certificates.certificate_checks(config, SYSTEM.now_ms())}
    assert set(found) == {"certificate", "redis.certificate", "etcd.certificate"}
    assert [found[name].status for name in ("certificate", "redis.certificate")] == ["ok", "ok"]
    assert found["etcd.certificate"].status == "error"
    assert "the key belongs to another certificate" in found["etcd.certificate"].detail
    assert "cert of NERVENET_ETCD" in found["etcd.certificate"].detail
