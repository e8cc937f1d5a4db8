# SPDX-License-Identifier: Apache-2.0
"""Settings: which source wins, what each value may look like, and what a person is told who got one wrong."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nervenet.config import SETTINGS, Config, is_loopback, parse_duration, parse_size, split_host_port
from nervenet.errors import ConfigError


def load(directory: Path, environ: dict[str, str] | None = None, **overrides: Any) -> Config:
    return Config.load(environ=environ or {}, directory=directory, **overrides)


def write(directory: Path, text: str) -> Path:
    (directory / "nervenet.toml").write_text(text)
    return directory


def test_without_anything_the_documented_defaults_hold(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.address, config.namespace, config.durability) == ("localhost:7700", "default", "normal")
    assert (config.retention_ms, config.payload_limit) == (7 * 86_400_000, 1 << 20)
    assert (config.max_workflows, config.drain_ms) == (10_000, 30_000)
    assert (config.log_level, config.log, config.replay_check) == ("info", "auto", False)
    assert config.token is config.redis is config.etcd is config.tls is None
    assert set(config.sources.values()) == {"default"}


def test_argument_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    write(tmp_path, 'address = "file:1"\nnamespace = "file"\nlog = "json"\nmax_workflows = 7\n')
    environ = {"NERVENET_ADDRESS": "env:2", "NERVENET_NAMESPACE": "env"}
    config = load(tmp_path, environ, address="argument:3")
    assert (config.address, config.sources["address"]) == ("argument:3", "argument")
    assert (config.namespace, config.sources["namespace"]) == ("env", "NERVENET_NAMESPACE")
    assert (config.log, config.sources["log"]) == ("json", "nervenet.toml")
    assert config.max_workflows == 7
    assert config.sources["drain"] == "default"


def test_what_is_empty_in_the_environment_or_none_as_an_argument_is_not_given(tmp_path: Path) -> None:
    config = load(tmp_path, {"NERVENET_LISTEN": "", "NERVENET_ADDRESS": ""}, namespace=None)
    assert (config.listen, config.address, config.namespace) == (None, "localhost:7700", "default")


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "some.pem"
    file.write_text("…")
    values = {
        "address": "a:1,b:2", "namespace": "legal", "token": "t", "tls": str(file), "tls_cert": str(file),
        "tls_key": str(file), "tls_name": "mesh.internal", "tls_mutual": "off", "redis": "rediss://u:p@r:1/2", "etcd": "https://u:p@a:1,b:2", "listen": "[::1]:0",
        "advertise": "me.internal", "durability": "strict", "retention": "12h",
        "archive": "s3://bucket/nervenet?region=eu-west-1", "archive_hold": "3d",
        "blobs": "file:///srv/values", "blob_threshold": "16KiB", "blob_grace": "2h",
        "payload_limit": "2MiB", "max_workflows": "5", "drain": "250ms", "log_level": "DEBUG", "log": "pretty",
        "replay_check": "on", "escalation_hook": "https://chat.example/hooks/s3cret", "remind": "4h",
        "max_queued": "20", "journal_limit": "1000", "codec": "gzip", "max_memory": "1.5GB",
            "metrics": "[::1]:9464", "metrics_labels": "tenant, team.name",
        "scaler": "[::1]:7703", "namespaces": "legal, sales", "policy": str(file), "audit": "-",
        "http": "[::1]:7701", "http_origins": "https://Mesh.example.com/, http://localhost:3000",
        "tokens_file": str(file), "jwt_issuer": "https://login.example.com", "jwt_audience": "mesh",
        "jwt_jwks": "https://login.example.com/keys", "insecure": "on",
    }  # fmt: skip
    config = load(tmp_path, {f"NERVENET_{name.upper()}": value for name, value in values.items()})
    assert {name for name, source in config.sources.items() if source == "default"} == {"token_file"}
    assert (config.address, config.listen) == ("a:1,b:2", "[::1]:0")
    assert (config.namespace, config.served_namespaces) == ("legal", ("legal", "sales"))
    assert (config.retention_ms, config.drain_ms, config.payload_limit) == (43_200_000, 250, 2 << 20)
    assert (config.log_level, config.replay_check, config.max_memory) == ("debug", True, 1_500_000_000)
    assert ("max_memory", "1500MB", "NERVENET_MAX_MEMORY") in config.shown()
    assert (config.http, config.http_origins) == ("[::1]:7701", ("https://mesh.example.com", "http://localhost:3000"))
    assert (config.metrics, config.metrics_labels) == ("[::1]:9464", ("tenant", "team.name"))
    assert ("metrics_labels", "tenant,team.name", "NERVENET_METRICS_LABELS") in config.shown()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("address", "localhost", "host:port"),
        ("address", "a:99999", "host:port"),
        ("namespace", "a/b", "letters"),
        ("tls", "maybe", "CA file"),
        ("redis", "localhost:6379", "redis://host:6379"),
        ("etcd", "etcd:2379", "http://a:2379"),
        ("listen", "7700", "host:port"),
        ("advertise", "0.0.0.0", "not 0.0.0.0"),
        ("durability", "sometimes", "normal or strict"),
        ("retention", "7", "7d"),
        ("payload_limit", "1GiB", "4MiB"),
        ("max_workflows", "0", "at least 1"),
        ("max_memory", "64MiB", "at least 256MiB"),
        ("max_queued", "0", "at least 1"),
        ("journal_limit", "3", "at least 100"),
        ("drain", "soon", "30s"),
        ("log_level", "loud", "warning"),
        ("log", "xml", "json"),
        ("replay_check", "perhaps", "on or off"),
        ("metrics", "9464", "host:port"),
        ("metrics", "localhost:99999", "host:port"),
        ("metrics_labels", "role", "commas"),
        ("metrics_labels", "a.b,a_b", "commas"),
        ("escalation_hook", "https://", "http://"),
        ("remind", "10ms", "at least 1s"),
        ("token_file", "/nowhere/token", "file"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_its_source_and_the_right_form(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    variable = f"NERVENET_{name.upper()}"
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, {variable: value})
    assert name in str(refused.value)
    assert value in str(refused.value) or name in ("redis", "etcd")
    assert variable in str(refused.value)
    assert expected in str(refused.value)


def test_a_wrong_type_in_the_file_is_refused_too(tmp_path: Path) -> None:
    for line in ("retention = 7", "address = 7700", "max_workflows = 1.5", "replay_check = 3", "listen = true"):
        with pytest.raises(ConfigError, match=r"from nervenet\.toml"):
            load(write(tmp_path, line))


def test_a_secret_is_never_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, redis="redis:/user:hunter2@host")
    assert "hunter2" not in str(refused.value)
    config = load(
        tmp_path, redis="redis://user:hunter2@host:1/0", etcd="http://hunter2:hunter2@a:1,b:2", token="hunter2"
    )
    for text in (repr(config), str(config.shown())):
        assert "redis://***@host:1/0" in text
        assert "hunter2" not in text


def test_an_unknown_setting_suggests_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nervenet\.toml: there is no setting 'adress'; did you mean address\?"):
        load(write(tmp_path, 'adress = "a:1"'))
    with pytest.raises(ConfigError, match="argument: there is no setting 'retention_ms'; did you mean retention"):
        load(write(tmp_path, ""), retention_ms=3)


def test_a_file_that_is_no_toml_is_an_error_not_silence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nervenet\.toml cannot be read"):
        load(write(tmp_path, "address = "))


def test_only_the_working_directory_is_searched(tmp_path: Path) -> None:
    write(tmp_path, 'namespace = "above"')
    (inner := tmp_path / "inner").mkdir()
    assert load(inner).namespace == "default"


def test_the_token_file_is_read_again_at_each_use(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    config = load(tmp_path, token_file=file)
    assert config.current_token() == "first"
    file.write_text("second\n")
    assert config.current_token() == "second"
    file.unlink()
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\)"):
        config.current_token()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\x00\x01\x02", "does not hold one line"),
        (b"\xff\xfes3cret", "does not hold one line"),
        ("s3cr\u00e9t".encode(), "does not hold one line"),
        (b"first\nsecond\n", "does not hold one line"),
        (b"x" * 8000, "at most 7168"),
    ],
)
def test_a_token_file_without_a_token_is_refused_at_the_start_and_later(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"s3cret")
    running = load(tmp_path, token_file=file)
    file.write_bytes(content)
    for ask in (running.current_token, lambda: load(tmp_path, token_file=file)):
        with pytest.raises(ConfigError, match=says) as refused:
            ask()
        assert str(file) in str(refused.value) and "write the token" in str(refused.value)
    assert running.has_token


def test_an_empty_token_that_was_set_on_purpose_is_refused(tmp_path: Path) -> None:
    for name in ("NERVENET_TOKEN", "NERVENET_TOKEN_FILE"):
        with pytest.raises(ConfigError, match=f"{name} is set but empty"):
            load(tmp_path, {name: ""})
    for empty in ("", "  "):
        with pytest.raises(ConfigError, match="token is"):
            load(tmp_path, token=empty)
    with pytest.raises(ConfigError, match=r"token is \*\*\* \(from nervenet.toml\)"):
        load(write(tmp_path, 'token = ""'))


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("redis", "redis://host:6379/0", "redis://host:6379/0"),
        ("redis", "redis://:hunter2/b#@host", "redis://***@host"),
        ("redis", "redis://user:a@hunter2@host:1", "redis://***@host:1"),
        ("redis", "redis://:a?hunter2@host", "redis://***"),
        ("redis", "redis://:hunter2", "redis://***"),  # its host was forgotten
        ("redis", "redis://host?password=hunter2", "redis://host?***"),
        ("redis", "rediss+sentinel://u:p@a:1,b:2/main/0?sentinel_password=x@hunter2", "rediss+sentinel://***"),
        ("redis", "redis+sentinel://a:1,b:2/main/0?sentinel_password=hunter2", "redis+sentinel://a:1,b:2/main/0?***"),
        ("redis", "unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock?***"),
        ("etcd", "http://a:2379,http://b:2379", "http://a:2379,b:2379"),
        ("etcd", "https://user:hun#hunter2/@a:2379,b:2379", "https://***@a:2379,b:2379"),
        ("token", "hunter2://x/y", "***"),
        ("token", "redis://hunter2", "***"),
        ("escalation_hook", "https://chat.example/hooks/hunter2", "https://chat.example/***"),
        ("escalation_hook", "https://me:a/hunter2@chat.example/hook", "https://chat.example/***"),
        ("escalation_hook", "https://me:a?hunter2@chat.example/hook", "***"),
        ("escalation_hook", "TOKEN=hunter2 notify", "***"),
        ("escalation_hook", "notify --key hunter2", "notify ***"),
    ],
)
def test_no_piece_of_a_secret_is_shown(tmp_path: Path, name: str, value: str, shown: str) -> None:
    config = load(tmp_path, **{name: value})
    assert {name: text for name, text, _ in config.shown()}[name] == shown
    assert SECRET not in repr(config)


def test_of_token_and_token_file_the_stronger_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from file")
    assert load(tmp_path, {"NERVENET_TOKEN": "from environment"}, token_file=file).current_token() == "from file"
    assert load(tmp_path, {"NERVENET_TOKEN_FILE": str(file)}, token="argument").current_token() == "argument"
    with pytest.raises(ConfigError, match="both set"):
        load(tmp_path, {"NERVENET_TOKEN": "x", "NERVENET_TOKEN_FILE": str(file)})


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("…")
    with pytest.raises(ConfigError, match=r"tls_cert is set \(from argument\) but tls_key is not"):
        load(tmp_path, tls_cert=tmp_path / "cert")


def test_tls_is_off_on_loopback_and_on_elsewhere_unless_told(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert [config.tls_for(a) for a in ("localhost:1", "127.0.0.2:1", "[::1]:1")] == ["off"] * 3
    assert [config.tls_for(a) for a in ("mesh:1", "localhost:1,mesh:2", "dns:///mesh:1", "0.0.0.0:1")] == ["on"] * 4
    assert load(tmp_path, tls="off").tls_for("mesh:1") == "off"


def test_what_others_dial_is_never_a_wildcard(tmp_path: Path) -> None:
    assert load(tmp_path).advertised("127.0.0.1:4711") == "127.0.0.1:4711"
    assert load(tmp_path, advertise="node-1.internal").advertised("0.0.0.0:4711") == "node-1.internal:4711"
    assert load(tmp_path, advertise="node-1:80").advertised("0.0.0.0:4711") == "node-1:80"
    with pytest.raises(ConfigError, match="NERVENET_ADVERTISE"):
        load(tmp_path).advertised("[::]:4711")


def test_roles_listen_where_the_table_says(tmp_path: Path) -> None:
    assert load(tmp_path).listen_for("node") == "127.0.0.1:7700"
    assert load(tmp_path).listen_for("agent") == "127.0.0.1:0"
    assert load(tmp_path, listen="10.0.0.1:9").listen_for("agent") == "10.0.0.1:9"


def test_what_a_role_cannot_do_without_is_asked_for_with_all_three_ways(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"redis is not set, and a node needs it: set NERVENET_REDIS, or redis in"):
        load(tmp_path).require("redis", "a node")
    assert load(tmp_path, etcd="http://a:1").require("etcd", "a node") == "http://a:1"


def test_a_config_is_frozen_and_shows_every_setting(tmp_path: Path) -> None:
    config = load(tmp_path, drain=timedelta(minutes=2), payload_limit="512KiB", retention="90m")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.address = "x:1"  # type: ignore[misc]  # the point of the test
    shown = {name: value for name, value, _ in config.shown()}
    assert list(shown) == [setting.name for setting in SETTINGS]
    assert (shown["drain"], shown["payload_limit"], shown["retention"]) == ("2m", "512KiB", "90m")
    assert repr(config) == "<Config retention=90m payload_limit=512KiB drain=2m>"


def test_durations_sizes_and_addresses() -> None:
    assert [parse_duration(text) for text in ("7d", "30s", "1.5h", "250ms", "0s")] == [
        604_800_000,
        30_000,
        5_400_000,
        250,
        0,
    ]
    assert [parse_size(text) for text in ("1MiB", "512 KiB", "1MB", "17", 17)] == [1 << 20, 512 << 10, 10**6, 17, 17]
    assert split_host_port("[::1]:7700") == ("::1", 7700)
    assert not is_loopback("localhost.example.org")
