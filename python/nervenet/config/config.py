# SPDX-License-Identifier: Apache-2.0
"""The settings of a process, read once: argument or flag > environment > `nervenet.toml` > default.

    config = Config.load(address="mesh.internal:7700")
    config.address, config.sources["address"]          # ("mesh.internal:7700", "argument")

The file is searched in the working directory only, and there are no profiles: what holds for a process can be read off
`nervenet config show`. Only the token is read again later (`current_token`), because files with tokens are rotated under
running processes.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from nervenet.config.settings import BY_NAME, SETTINGS, Setting
from nervenet.config.values import (
    HOST_PORT,
    format_duration,
    format_size,
    is_loopback,
    is_wildcard,
    read_token,
    split_host_port,
)
from nervenet.errors import ConfigError

FILE = "nervenet.toml"
_NEVER_EMPTY = frozenset({"token", "token_file", "tokens_file", "jwt_issuer", "jwt_audience"})
"""Variables that must not be empty: a template that failed would open the mesh."""

Durability = Literal["normal", "strict"]
LogForm = Literal["auto", "pretty", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting with its value. Make one with `load`.

    A source is stronger the further left it is: argument or flag, environment (`NERVENET_…`), `nervenet.toml` in the
    working directory, default. `nervenet config show` prints value and source of each setting. The reference of
    settings
    says what each one does.

        config = Config.load(address="mesh.internal:7700")
        config.address, config.sources["address"]          # ("mesh.internal:7700", "argument")

    Attributes:
        address: Any node or nodes.
        namespace: Whose workflows.
        namespaces: Namespaces that a node serves; see `served_namespaces`.
        token: The mesh's token.
        token_file: A file with the token.
        tokens_file: A file with the hashes of callers' tokens.
        jwt_issuer: The issuer of callers' JWTs.
        jwt_audience: What JWTs must be for.
        jwt_jwks: Where the keys of the issuer are. None: where its own configuration says.
        insecure: Whether this process may listen to others without TLS and without credentials.
        tls: `"off"`, `"on"` or a CA file. None: see `tls_for`.
        tls_cert: This process' certificate.
        tls_key: The key of the certificate.
        policy: Path of the policy file. None: the built-in policy.
        audit: Path of the audit log, `"-"` or `"otlp"`. None: nowhere.
        tls_mutual: Whether a server with a CA file asks callers for a certificate.
        tls_name: The name in the certificates of dialled processes. None: the dialled host.
        redis: URL of Redis or Valkey.
        etcd: URL of etcd.
        listen: Where this process listens. None: see `listen_for`.
        advertise: What others dial. None: see `advertised`.
        http: Where a node serves HTTP. None: nowhere.
        http_origins: Sites whose pages may call the HTTP door.
        scaler: Where a node serves KEDA's external scaler. None: nowhere.
        durability: `"normal"` or `"strict"`.
        retention_ms: How long closed workflows are kept, in milliseconds.
        archive: Where closed workflows are kept for good. None: nowhere.
        archive_hold_ms: For how much longer they wait for the archive, in milliseconds.
        payload_limit: Largest payload, in bytes.
        codec: What encrypts and compresses values. None: nothing.
        blobs: Where large values lie. None: in Redis.
        blob_threshold: Values of more bytes than this go there.
        blob_grace_ms: How old such a value is at least when it is removed, in milliseconds.
        max_workflows: Workflows that one node owns.
        max_memory: Memory of one node, in bytes. None: 80 % of what there is.
        max_queued: Tasks that wait in one queue.
        journal_limit: Entries in one journal.
        drain_ms: How long a process that stops waits for its work, in milliseconds.
        escalation_hook: What is told about open questions.
        remind_ms: Time between two reminders of an open question, in milliseconds.
        metrics: Where this process serves its metrics. None: nowhere.
        metrics_labels: Labels of workflows that become labels of metrics.
        log_level: Least level that is logged.
        log: `"auto"`, `"pretty"` or `"json"`.
        replay_check: Whether a node replays each step a second time.
        sources: Where the value of each setting comes from.
        process: The number of this process, from 1, among those of one supervisor (`--processes`). 0: it has none.
        processes: How many processes that supervisor has.
    """

    address: str
    namespace: str
    namespaces: tuple[str, ...]
    token: str | None
    token_file: str | None
    tokens_file: str | None
    jwt_issuer: str | None
    jwt_audience: str | None
    jwt_jwks: str | None
    insecure: bool
    tls: str | None
    tls_cert: str | None
    tls_key: str | None
    policy: str | None
    audit: str | None
    tls_mutual: bool
    tls_name: str | None
    redis: str | None
    etcd: str | None
    listen: str | None
    advertise: str | None
    http: str | None
    http_origins: tuple[str, ...]
    scaler: str | None
    durability: Durability
    retention_ms: int
    archive: str | None
    archive_hold_ms: int
    payload_limit: int
    codec: str | None
    blobs: str | None
    blob_threshold: int
    blob_grace_ms: int
    max_workflows: int
    max_memory: int | None
    max_queued: int
    journal_limit: int
    drain_ms: int
    escalation_hook: str | None
    remind_ms: int
    metrics: str | None
    metrics_labels: tuple[str, ...]
    log_level: str
    log: LogForm
    replay_check: bool
    sources: Mapping[str, str]
    process: int = 0
    processes: int = 1

    @classmethod
    def load(
        cls, *, environ: Mapping[str, str] | None = None, directory: Path | str | None = None, **overrides: Any
    ) -> Self:
        """Read the settings.

        Args:
            environ: The environment. Default: `os.environ`.
            directory: The folder of `nervenet.toml`. Default: the working directory.
            overrides: Arguments by a setting's name: `retention="7d"`, or a timedelta. None counts as not given, and
                so does
                an empty environment variable, except for a token.

        Raises:
            ConfigError: A setting is wrong or unknown. The message names it, its source and the values that it takes.
        """
        environ = os.environ if environ is None else environ
        file = Path(directory or ".") / FILE
        in_file = _read_file(file)
        _refuse_unknown(overrides, "argument")
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for setting in SETTINGS:
            given, source = _strongest(setting, overrides, environ, in_file)
            values[setting.field or setting.name] = (
                setting.parse(given, source) if given is not None else setting.default
            )
            sources[setting.name] = source
        _check_pairs(values, sources)
        if values["token_file"] is not None:
            read_token(values["token_file"])
        return cls(**values, sources=sources)

    def require(self, name: Literal["redis", "etcd"], who: str) -> str:
        """The value of a setting that a process needs: `config.require("redis", "a node")`.

        Args:
            name: The setting.
            who: Who needs it, for the message.

        Raises:
            ConfigError: It is not set.
        """
        value: str | None = getattr(self, name)
        if value is None:
            setting = BY_NAME[name]
            raise ConfigError(
                f"{name} is not set, and {who} needs it: set {setting.environment}, or {name} in {FILE}, "
                f"to {setting.expected}"
            )
        return value

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """The namespaces of a node with these settings: `namespaces`, or the one of `namespace`."""
        return self.namespaces or (self.namespace,)

    def for_namespace(self, namespace: str) -> Self:
        """These settings for one namespace of several.

        Args:
            namespace: The namespace.
        """
        return replace(self, namespace=namespace, namespaces=())

    @property
    def has_token(self) -> bool:
        """Whether calls of this process carry a token."""
        return self.token is not None or self.token_file is not None

    @property
    def hold_ms(self) -> int:
        """For how much longer than its retention a closed workflow waits for the archive. 0: there is no archive."""
        return 0 if self.archive is None else self.archive_hold_ms

    @property
    def wants_shared_token(self) -> bool:
        """Whether callers of this process must have its own token: they have no others (`tokens_file`, `jwt_issuer`)."""
        return self.has_token and self.tokens_file is None and self.jwt_issuer is None

    @property
    def wants_certificates(self) -> bool:
        """Whether callers of this process must have a certificate (mTLS): the setting `tls` is a file of authorities, and
        `tls_mutual` is on."""
        return self.tls not in (None, "on", "off") and self.tls_mutual

    @property
    def wants_credentials(self) -> bool:
        """Whether this process knows who calls it."""
        return self.wants_certificates or self.has_token or self.tokens_file is not None or self.jwt_issuer is not None

    def current_token(self) -> str | None:
        """The token to send now. None: the mesh has none. A token file is read again each time, because it may be
        rotated.

        Raises:
            ConfigError: The file cannot be read, or holds no token.
        """
        if self.token is not None:
            return str(BY_NAME["token"].parse(self.token, self.sources["token"]))
        return None if self.token_file is None else read_token(self.token_file)

    def listen_for(self, role: Literal["node", "agent"]) -> str:
        """Where a process of this role listens: the setting `listen`, or `127.0.0.1:7700` (node), any free port
        (agent).

        Args:
            role: The role.
        """
        return self.listen or ("127.0.0.1:7700" if role == "node" else "127.0.0.1:0")

    def tls_for(self, address: str) -> str:
        """`"off"`, `"on"` or a CA file, for an address. Not set: off if every host is this machine, or if this process is
        `insecure` and has no certificate; else on.

        Args:
            address: The address to dial or to listen at.
        """
        if self.tls is not None:
            return self.tls
        if self.insecure and self.tls_cert is None:
            return "off"
        if address.startswith("dns:///"):
            address = address.removeprefix("dns:///")
        hosts = [one.strip().rpartition(":")[0].strip("[]") for one in address.split(",")]
        return "off" if all(is_loopback(host) for host in hosts) else "on"

    def advertised(self, bound: str) -> str:
        """The address that others dial: the setting `advertise`, or `bound`.

        Args:
            bound: Where the process listens (host:port).

        Raises:
            ConfigError: `bound` is a wildcard such as 0.0.0.0, which nobody can dial, and `advertise` is not set.
        """
        host, port = split_host_port(bound)
        if self.advertise is not None:
            return self.advertise if HOST_PORT.fullmatch(self.advertise) else f"{self.advertise}:{port}"
        if is_wildcard(host):
            raise ConfigError(
                f"listen is {bound}, which others cannot dial: set NERVENET_ADVERTISE (or advertise in {FILE}) "
                "to the host name or address at which they reach this process"
            )
        return bound

    def shown(self) -> list[tuple[str, str, str]]:
        """Name, value and source of each setting, for people. Passwords and tokens are hidden."""
        return [(s.name, _shown(s, getattr(self, s.field or s.name)), self.sources[s.name]) for s in SETTINGS]

    def __repr__(self) -> str:
        given = [f"{name}={value}" for name, value, source in self.shown() if source != "default"]
        return f"<Config {' '.join(given) or 'defaults'}>"


def _strongest(
    setting: Setting, overrides: Mapping[str, Any], environ: Mapping[str, str], in_file: Mapping[str, Any]
) -> tuple[Any, str]:
    if overrides.get(setting.name) is not None:
        return overrides[setting.name], "argument"
    if environ.get(setting.environment):
        return environ[setting.environment], setting.environment
    if setting.environment in environ and setting.name in _NEVER_EMPTY:
        raise ConfigError(
            f"{setting.environment} is set but empty, which would switch the token off: set its value, or unset it"
        )
    if setting.name in in_file:
        return in_file[setting.name], FILE
    return None, "default"


def _read_file(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    _refuse_unknown(found, FILE)
    return found


def _refuse_unknown(given: Mapping[str, Any], source: str) -> None:
    for name in given:
        if name not in BY_NAME:
            close = difflib.get_close_matches(name.removesuffix("_ms"), BY_NAME, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(BY_NAME)}"
            raise ConfigError(f"{source}: there is no setting {name!r}; {hint}")


def _check_pairs(values: dict[str, Any], sources: dict[str, str]) -> None:
    """A stronger source's token hides a weaker one's token file and the other way round; certificate needs key."""
    strength = {"argument": 0, FILE: 2, "default": 3}
    if values["token"] is not None and values["token_file"] is not None:
        token, file = (strength.get(sources[name], 1) for name in ("token", "token_file"))
        if token == file:
            raise ConfigError(f"token and token_file are both set (from {sources['token']}): keep one of them")
        values["token_file" if token < file else "token"] = None
    if (values["jwt_issuer"] is None) != (values["jwt_audience"] is None):
        there, missing = ("jwt_issuer", "jwt_audience") if values["jwt_issuer"] else ("jwt_audience", "jwt_issuer")
        raise ConfigError(
            f"{there} is set (from {sources[there]}) but {missing} is not: without both, a JWT that was made for "
            "another service would be good here"
        )
    if values["jwt_jwks"] is not None and values["jwt_issuer"] is None:
        raise ConfigError(
            f"jwt_jwks is set (from {sources['jwt_jwks']}) but jwt_issuer is not: set the issuer of the keys"
        )
    if (values["tls_cert"] is None) != (values["tls_key"] is None):
        there, missing = ("tls_cert", "tls_key") if values["tls_cert"] else ("tls_key", "tls_cert")
        raise ConfigError(
            f"{there} is set (from {sources[there]}) but {missing} is not: a certificate and its key go together"
        )


def _shown(setting: Setting, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if setting.field:
        return format_duration(value)
    if setting.name in ("payload_limit", "max_memory"):
        return format_size(value)
    return setting.show(value) if setting.secret else str(value)
