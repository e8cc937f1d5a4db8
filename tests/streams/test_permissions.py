# SPDX-License-Identifier: Apache-2.0
"""The permissions in the stores: neither more nor less than the code uses. That they suffice is what all tests with processes show."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from nervenet.dev.servers import Server, etcd
from nervenet.registry.etcd import Etcd, EtcdError
from nervenet.registry.layout import Layout
from nervenet.streams.keys import Keys
from nervenet.streams.permissions import ROLES, RedisRole, commands_in, permissions_of
from nervenet.streams.script import packaged_scripts
from tests.support.environment import ROOT, clean_environment, nervenet
from tests.support.etcd_servers import etcdctl
from tests.support.mesh import ProcessMesh
from tests.support.permissions import make_user, nothing_is_refused
from tests.support.waiting import until

PACKAGE = ROOT / "python" / "nervenet"
WHERE: dict[RedisRole, tuple[str, ...]] = {
    "node": ("streams", "redis_link", "node", "cli/doctor"),
    "agent": ("agent", "streams/tasks", "streams/queues.py", "streams/journal.py", "redis_link"),
    "checkpoints": ("integrations/langgraph/saver", "redis_link"),
    "flows": ("integrations/crewai/persistence.py", "redis_link"),
}
"""The code that speaks to Redis as each role."""
NAMES_ONLY = {"permissions.py", "faults.py"}
"""Modules that name commands, or errors of the same name, and send none."""


@pytest.fixture(scope="module")
def known(shared_valkey: Server) -> frozenset[str]:
    """The commands that a server knows."""
    with redis.Redis.from_url(shared_valkey.url, decode_responses=True) as store:
        return frozenset(name.upper() for name in store.execute_command("COMMAND LIST"))


def words_of(file: Path, known: frozenset[str]) -> Iterator[str]:
    """The commands that a module sends: words that begin a call's arguments, a tuple or a list."""
    for found in ast.walk(ast.parse(file.read_text())):
        words = found.args if isinstance(found, ast.Call) else ()
        words = found.elts if isinstance(found, ast.Tuple | ast.List) else words
        texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        yield from (text for text in texts if text.isupper() and text in known)


def sent_by(role: RedisRole, known: frozenset[str]) -> set[str]:
    """What the role's code and its scripts send, without subcommands."""
    places = [PACKAGE / place for place in WHERE[role]]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))]
    direct = {word for file in files if file.name not in NAMES_ONLY for word in words_of(file, known)}
    texts = [script.source for script in packaged_scripts()] if role in ("node", "agent") else []
    texts += [lua.read_text() for place in places if place.is_dir() for lua in place.rglob("*.lua")]
    return direct | {command.partition("|")[0] for text in texts for command in commands_in(text)}


def granted_to(role: RedisRole) -> set[str]:
    return {command.partition("|")[0] for command in permissions_of(role).commands}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_do_what_its_code_does_not_do(role: RedisRole, known: frozenset[str]) -> None:
    assert granted_to(role) <= sent_by(role, known)


def test_a_node_may_do_all_that_its_code_does(known: frozenset[str]) -> None:
    assert sent_by("node", known) <= granted_to("node")


@pytest.mark.parametrize("role", ROLES)
def test_the_dangerous_commands_are_nobodys(role: RedisRole) -> None:
    dangerous = {
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG|SET",
        "KEYS",
        "EVAL",
        "SCRIPT|FLUSH",
        "ACL",
        "DEBUG",
        "SHUTDOWN",
        "MONITOR",
    }
    assert not dangerous & set(permissions_of(role).commands)


# ── what a user of one role may not reach ────────────────────────────────────────────────────────────────────────────


def refused(url: str, *command: str) -> bool:
    """Whether the server refuses the command to the user of this URL."""
    with redis.Redis.from_url(url) as store:
        try:
            store.execute_command(*command)
        except redis.exceptions.NoPermissionError:
            return True
    return False


@pytest.fixture
def own_valkey() -> Iterator[str]:
    """A server whose log of refusals is its own."""
    from nervenet.dev.servers import valkey

    with valkey() as server:
        yield server.url


def test_an_agent_reaches_no_list_of_the_nodes_and_no_other_namespace(own_valkey: str) -> None:
    url, keys, other = make_user(own_valkey, "agent", "team-a"), Keys("team-a"), Keys("team-b")
    assert not refused(url, "HGET", keys.head("w").decode(), "run")
    for key in (keys.running, keys.restarting, keys.escalations, keys.definitions, keys.owned("n"), keys.closed("d")):
        assert refused(url, "DEL", key.decode()), key
    assert refused(url, "HSET", keys.queues("read").decode(), "x", "y"), "it reads which queues there are"
    for key in (other.head("w"), other.inbox("a"), other.queue("read"), other.wake("n")):
        assert refused(url, "DEL", key.decode()), key
    assert refused(url, "FLUSHALL")


def test_a_user_with_two_roles_has_the_commands_of_each_for_its_own_keys(own_valkey: str) -> None:
    both, agent = make_user(own_valkey, ("agent", "flows"), "team-a"), make_user(own_valkey, "agent", "team-a")
    flow, head = "nn:team-a:flows:{f}", Keys("team-a").head("w").decode()
    assert not refused(both, "SET", flow, "state") and not refused(both, "HGET", head, "run")
    assert refused(both, "SET", head, "x"), "SET is for flows only"
    assert refused(both, "SET", "nn:team-b:flows:{f}", "x") and refused(both, "HGET", flow, "x")
    for command in (("GET", flow), ("SET", flow, "x"), ("DEL", flow), ("ZADD", "nn:team-a:checkpoints:{t}", "0", "x")):
        assert refused(agent, *command), command


def test_a_node_reaches_no_other_namespace(own_valkey: str) -> None:
    url, other = make_user(own_valkey, "node", "team-a"), Keys("team-b")
    for key in (other.head("w"), other.running, other.owned("n"), other.definition("d")):
        assert refused(url, "DEL", key.decode()), key
    assert refused(url, "XREADGROUP", "GROUP", "g", "c", "STREAMS", other.wake("n").decode(), ">")


async def test_an_agent_makes_a_queue_again_that_is_listed_and_not_there(tmp_path: Path, own_valkey: str) -> None:
    """It may not list one, and need not."""
    with etcd() as registry, nothing_is_refused(own_valkey), ProcessMesh(tmp_path, own_valkey, registry.url) as mesh:
        mesh.start(nodes=1, agents=1)
        keys, store = Keys(mesh.namespace), redis.Redis.from_url(own_valkey)
        with store:
            store.hset(keys.queues("say").decode(), "", "")
            await until(lambda: store.exists(keys.queue("say")), "the agent has made the queue", of=mesh)
        assert mesh.run("start", "greet", '["ann"]', "--wait").stdout.strip().endswith('["ann!"]')


# ── the commands that print them ─────────────────────────────────────────────────────────────────────────────────────


def test_the_printed_line_makes_a_user_that_a_mesh_can_run_with(tmp_path: Path, own_valkey: str) -> None:
    """`nervenet permissions`, given to the servers as it is, and then a mesh in that namespace, with etcd behind a password too."""
    env = clean_environment(NERVENET_NAMESPACE="team-a")
    with etcd() as registry, redis.Redis.from_url(own_valkey) as store:
        for user, roles in {"node": ("node", "checkpoints"), "agent": ("agent", "flows")}.items():
            line = nervenet("permissions", "redis", *roles, "--user", user, env=env).stdout
            store.execute_command(*shlex.split(line.replace("PASSWORD", "secret")))
        for line in nervenet("permissions", "etcd", env=env).stdout.replace("PASSWORD", "secret").splitlines():
            etcdctl(registry.url, *line.split()[1:])
        for line in ("user add root:secret", "user grant-role root root", "auth enable"):
            etcdctl(registry.url, *line.split())
        host = own_valkey.removeprefix("redis://")
        registered = registry.url.replace("http://", "http://nervenet-node:secret@")
        with ProcessMesh(tmp_path, f"redis://node:secret@{host}", registered, namespace="team-a") as mesh:
            mesh.up(mesh.node(), mesh.node())
            mesh.up(mesh.agent(NERVENET_REDIS=f"redis://agent:secret@{host}"))
            assert mesh.run("start", "greet", '["ann", "bob"]', "--wait").stdout.strip().endswith('["ann!","bob!"]')


async def test_a_node_may_not_write_another_namespace_in_etcd() -> None:
    env = clean_environment(NERVENET_NAMESPACE="team-a")
    with etcd() as registry:
        for line in nervenet("permissions", "etcd", env=env).stdout.replace("PASSWORD", "secret").splitlines():
            etcdctl(registry.url, *line.split()[1:])
        for line in ("user add root:secret", "user grant-role root root", "auth enable"):
            etcdctl(registry.url, *line.split())
        async with Etcd.open(registry.url.replace("http://", "http://nervenet-node:secret@")) as store:
            await store.put(Layout("team-a").node("n"), b"")
            with pytest.raises(EtcdError, match="permission"):
                await store.put(Layout("team-b").node("n"), b"")
