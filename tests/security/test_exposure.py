# SPDX-License-Identifier: Apache-2.0
"""A process that others can reach starts only with TLS and with a way to know who calls it, or if it is told --insecure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nervenet.config import Config
from nervenet.dev.servers import Server
from nervenet.errors import ConfigError
from nervenet.security import check_exposure
from tests.support.certificates import Authority, Issued
from tests.support.environment import clean_environment, nervenet
from tests.support.mesh import ProcessMesh

OPEN = "0.0.0.0:0"
APP = "tests/mesh/stories.py"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Authority(tmp_path_factory.mktemp("ca")).issue("node")


@pytest.mark.parametrize("listen", ["127.0.0.1:7700", "localhost:0", "[::1]:0"])
def test_on_this_machine_nothing_is_wanted(listen: str) -> None:
    assert check_exposure(Config.load(environ={}), "node", "listen", listen) == ""


@pytest.mark.parametrize("listen", [OPEN, "[::]:7700", "10.0.0.7:7700", "node-1.internal:7700"])
def test_elsewhere_both_are_wanted(listen: str, issued: Issued, tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text("")
    pair = {"tls_cert": issued.cert, "tls_key": issued.key}
    identities: list[dict[str, Any]] = [
        {"token": "s3cret"},
        {"tokens_file": tmp_path / "tokens.toml"},
        {"jwt_issuer": "https://login.example.com", "jwt_audience": "mesh"},
        {"tls": issued.ca},
    ]

    def missing(**settings: Any) -> set[str]:
        try:
            assert check_exposure(Config.load(environ={}, **settings), "node", "listen", listen) == ""
        except ConfigError as error:
            found = str(error)
            assert f"listen is {listen}, which others can reach" in found
            assert "--insecure" in found
            assert "NERVENET_INSECURE=on" in found
            return {name for name in ("NERVENET_TLS_CERT", "NERVENET_JWT_ISSUER") if name in found}
        return set()

    assert missing() == {"NERVENET_TLS_CERT", "NERVENET_JWT_ISSUER"}
    assert missing(tls="off") == {"NERVENET_TLS_CERT", "NERVENET_JWT_ISSUER"}
    assert missing(**pair) == {"NERVENET_JWT_ISSUER"}
    for identity in identities[:3]:
        assert missing(**identity) == {"NERVENET_TLS_CERT"}, identity
        assert missing(**identity, tls="off", **pair) == {"NERVENET_TLS_CERT"}, identity
    for identity in identities:
        assert missing(**identity, **pair) == set(), identity


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({}, "can read, start and cancel everything"),
        ({"token": "s3cret"}, "who can read the network reads tokens"),
        ({"tls": "off"}, "can read, start and cancel everything"),
    ],
)
def test_whoever_is_told_insecure_starts_and_says_what_that_means(settings: dict[str, str], warned: str) -> None:
    config = Config.load(environ={}, insecure=True, **settings)
    assert warned in check_exposure(config, "node", "listen", OPEN)
    assert config.tls_for("node-2:7700") == "off", "it reaches the others as they are"


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        (["node", "--listen", OPEN], "listen"),
        (["node", "--listen", "127.0.0.1:0", "--http", OPEN], "http"),
        (["agent", APP, "--listen", OPEN], "listen"),
    ],
)
def test_no_role_starts_open_before_anything_is_connected(command: list[str], setting: str) -> None:
    nowhere = {"NERVENET_REDIS": "redis://127.0.0.1:1", "NERVENET_ETCD": "http://127.0.0.1:1"}
    refused = nervenet(*command, env=clean_environment(**nowhere))
    assert refused.returncode == 2
    assert f"{setting} is {OPEN}, which others can reach, and this {command[0]} has no TLS and no way" in refused.stderr
    assert "Redis" not in refused.stderr


def test_told_insecure_by_flag_or_by_variable_nodes_and_agents_work(
    tmp_path: Path, shared_valkey: Server, shared_etcd: Server
) -> None:
    with ProcessMesh(tmp_path, shared_valkey.url, shared_etcd.url) as mesh:
        (node,) = mesh.up(mesh.node("", "--listen", OPEN, "--http", OPEN, "--insecure", NERVENET_ADVERTISE="127.0.0.1"))
        mesh.up(mesh.agent("--listen", OPEN, NERVENET_INSECURE="on", NERVENET_ADVERTISE="127.0.0.1"))
        assert "It was told --insecure; otherwise set NERVENET_TLS_CERT" in node.log
        assert mesh.run("start", "greet", '["a"]', "--wait").returncode == 0, mesh.logs()
