# SPDX-License-Identifier: Apache-2.0
"""The table of settings: name, how it is read, default, which values it takes, what it does.

`docs/reference/settings.md` and `nervenet config show` are made from it. A wrong value is refused with a sentence that
names the setting, where the value came from, and what it should look like.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nervenet.config.values import (
    A_NAMESPACE,
    A_TOKEN,
    MOST_NAMESPACES,
    MiB,
    check_codec,
    one_of,
    parse_address,
    parse_advertise,
    parse_archive,
    parse_audit,
    parse_count,
    parse_duration,
    parse_hook,
    parse_https,
    parse_interval,
    parse_journal_limit,
    parse_label_names,
    parse_listen,
    parse_memory,
    parse_namespace,
    parse_namespaces,
    parse_origins,
    parse_payload_limit,
    parse_switch,
    parse_tls,
    parse_token,
    public_hook,
    public_url,
    readable_file,
    url_with,
    word_of,
)
from nervenet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings.

    Attributes:
        name: Its name in arguments and in `nervenet.toml`.
        read: Turns text, or a value of its own type, into the value. Raises ValueError.
        default: The value where it is not set.
        expected: Which values it takes, in words.
        meaning: What it does, in words.
        field: Name of the field in Config, if it is not `name`.
        secret: Whether its value is hidden from people.
        show: What people may see of a secret value.
    """

    name: str
    read: Callable[[Any], Any]
    default: Any
    expected: str
    meaning: str
    field: str = ""
    secret: bool = False
    show: Callable[[str], str] = lambda value: "***"
    """What people may see of a secret value."""

    @property
    def environment(self) -> str:
        """Name of its environment variable."""
        return f"NERVENET_{self.name.upper()}"

    def parse(self, value: object, source: str) -> Any:
        """The value.

        Raises:
            ConfigError: The value cannot be used.
        """
        try:
            return self.read(value)
        except (ValueError, TypeError, AttributeError):  # a file may hold any TOML value
            shown = "***" if self.secret else repr(value)
            raise ConfigError(
                f"{self.name} is {shown} (from {source}), which cannot be used: it must be {self.expected}"
            ) from None


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "address",
        parse_address,
        "localhost:7700",
        "host:port, host:port,host:port or dns:///name:port",
        "Any node or nodes of the mesh, for clients, the command line and gateway agents. If one does not answer, the next one is used.",
    ),
    Setting(
        "namespace",
        parse_namespace,
        "default",
        f"one namespace ({A_NAMESPACE}); for a node with several there is NERVENET_NAMESPACES",
        "Whose workflows and agents: the tenant. Keys, registry and clients of one namespace never see another one.",
    ),
    Setting(
        "namespaces",
        parse_namespaces,
        (),
        f"at most {MOST_NAMESPACES} different namespaces with commas between them, e.g. team-a,team-b",
        "Namespaces that a node serves, apart from each other. A call that names none is of the first one. Not set: the one of `namespace`. Agents and clients have exactly one, `namespace`.",
    ),
    Setting(
        "token",
        parse_token,
        None,
        f"the token: {A_TOKEN}",
        "The token that every call must carry. Nodes and agents require it as soon as it is set.",
        secret=True,
    ),
    Setting(
        "token_file",
        readable_file,
        None,
        "the path of a file that can be read",
        "A file with the token, instead of `token`. It is read again when it changes, so the token can be rotated. It may hold a JWT.",
    ),
    Setting(
        "tokens_file",
        readable_file,
        None,
        "the path of a file that can be read",
        "A file with the hashes of the tokens of callers, one row for each, with its roles (`nervenet tokens new`). It is read again when it changes. With it, `token` is only what this process shows to others.",
    ),
    Setting(
        "jwt_issuer",
        parse_https,
        None,
        "a URL: https://login.example.com (http:// only for this machine)",
        "The issuer of JWTs by which callers are known, as their claim `iss` has it. Its keys are read from `/.well-known/openid-configuration`. It needs the extra `nervenet[security]`, and `jwt_audience`. With it, `token` is only what this process shows to others.",
    ),
    Setting(
        "jwt_audience",
        word_of(r"[\x21-\x7e]{1,255}"),
        None,
        "visible ASCII characters, at most 255",
        "What a JWT must be for: its claim `aud`, or one of its values.",
    ),
    Setting(
        "jwt_jwks",
        parse_https,
        None,
        "a URL: https://login.example.com/keys (http:// only for this machine)",
        "Where the keys of `jwt_issuer` are. Not set: where its `/.well-known/openid-configuration` says.",
    ),
    Setting(
        "insecure",
        parse_switch,
        False,
        "on or off",
        "Whether this process may listen beyond this machine without TLS or without knowing who calls. Without it, it does not start. For networks that are closed by other means.",
    ),
    Setting(
        "tls",
        parse_tls,
        None,
        "off, on (the system's authorities) or the path of a CA file",
        "How connections to `address` are secured. Not set: off if every host is this machine, or with `insecure`; else on.",
    ),
    Setting(
        "tls_cert",
        readable_file,
        None,
        "the path of a PEM file that can be read",
        "Certificate of this process: what a server shows, and what a client shows where the server asks (mTLS). Goes with `tls_key`.",
    ),
    Setting("tls_key", readable_file, None, "the path of a PEM file that can be read", "Private key of `tls_cert`."),
    Setting(
        "policy",
        readable_file,
        None,
        "the path of a policy file that can be read",
        "Who may do what ([rules and roles](../security.md#rules-and-roles)), for nodes and agents. It is read again when it changes. Not set: the built-in policy, which `nervenet policy show` prints.",
    ),
    Setting(
        "audit",
        parse_audit,
        None,
        "the path of a file, - (standard output) or otlp",
        "Where a node or agent writes a line for each call that changes something, before it is made, and for each refusal ([audit log](../security.md#audit-log)). Not set: nowhere.",
    ),
    Setting(
        "tls_mutual",
        parse_switch,
        True,
        "on or off",
        "Whether nodes and agents ask their callers for a certificate (mTLS), where `tls` is a CA file. Off: callers prove who they are by a token.",
    ),
    Setting(
        "tls_name",
        word_of(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"),
        None,
        "a host name, e.g. nervenet.prod.svc",
        "The name that the certificates of dialled nodes and agents must carry, instead of the dialled host: for pods, which are dialled by addresses that are in no certificate.",
    ),
    Setting(
        "redis",
        url_with("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        None,
        "a URL: redis://host:6379, rediss://…, redis+sentinel://… or redis+cluster://…",
        "Redis or Valkey, which carries journals and tasks. Nodes and agents in Python need it, clients do not.",
        secret=True,
        show=public_url,
    ),
    Setting(
        "etcd",
        url_with("http", "https"),
        None,
        "a URL: http://a:2379,b:2379 or https://user:password@a:2379",
        "etcd, which knows which processes live. Nodes need it; agents and clients do not.",
        secret=True,
        show=public_url,
    ),
    Setting(
        "listen",
        parse_listen,
        None,
        "host:port (port 0: any free one)",
        "Where this process serves gRPC. Not set: `127.0.0.1:7700` for a node, any free port for an agent.",
    ),
    Setting(
        "advertise",
        parse_advertise,
        None,
        "host or host:port that others can dial, not 0.0.0.0",
        "The host, or host and port, that others dial to reach this process. Not set: `listen`, which then must not be a wildcard.",
    ),
    Setting(
        "http",
        parse_listen,
        None,
        "host:port (port 0: any free one)",
        "Where a node serves HTTP: the dashboard, and the contract over the Connect protocol. It needs the extra `nervenet[http]`. Not set: nowhere. `nervenet dev` sets it.",
    ),
    Setting(
        "http_origins",
        parse_origins,
        (),
        "origins with commas between them, e.g. https://mesh.example.com",
        "Sites whose pages may call the HTTP door, and names that a proxy gives to it. Its own address needs no entry.",
    ),
    Setting(
        "scaler",
        parse_listen,
        None,
        "host:port (port 0: any free one)",
        "Where a node tells KEDA how many agents a pool needs (`externalscaler.ExternalScaler`). Callers need no token there; with a CA file in `tls` they need a certificate. Not set: nowhere.",
    ),
    Setting(
        "durability",
        one_of("normal", "strict"),
        "normal",
        "normal or strict",
        "What a crash of Redis may cost: `normal`, at most the last second; `strict`, nothing that was acknowledged (Redis must run with `appendfsync always`).",
    ),
    Setting(
        "retention",
        parse_duration,
        parse_duration("7d"),
        "a duration, e.g. 7d, 12h",
        "How long closed workflows can still be read.",
        field="retention_ms",
    ),
    Setting(
        "archive",
        parse_archive,
        None,
        "file:///folder or s3://bucket/prefix",
        "Where closed workflows are kept for good, as lines of JSON: a folder that all nodes share, or a bucket (`?endpoint=https://…&region=…`; credentials as AWS' tools take them). It needs the extra `nervenet[blobs]`. All nodes of a namespace have the same. Not set: they are gone when their retention has passed.",
    ),
    Setting(
        "archive_hold",
        parse_interval,
        parse_duration("7d"),
        "a duration of at least 1s, e.g. 7d",
        "For how much longer than its retention a closed workflow stays in Redis while the archive cannot be written. What is not archived by then is lost, and counted.",
        field="archive_hold_ms",
    ),
    Setting(
        "payload_limit",
        parse_payload_limit,
        MiB,
        "a size from 1KiB to 4MiB, e.g. 1MiB",
        "The largest input, result, signal or checkpoint. Larger values are refused with PAYLOAD_TOO_LARGE: store them elsewhere and pass a URI.",
    ),
    Setting(
        "codec",
        check_codec,
        None,
        "codecs with commas between them: gzip, aes-gcm:/path/of/keys, aes-gcm:env:NAME or module:object",
        "What encrypts and compresses inputs, results and the like in clients, agents and the workflow code of nodes, in this order. The same for all of them. `aes-gcm` needs the extra `nervenet[security]`. Not set: nothing.",
    ),
    Setting(
        "blobs",
        parse_archive,
        None,
        "file:///folder or s3://bucket/prefix",
        "Where large values lie instead of Redis: a folder that nodes and agents share, or a bucket (`?endpoint=https://…&region=…`; credentials as AWS' tools take them). It needs the extra `nervenet[blobs]`. Nodes and the agents that use Redis have the same; clients and agents of the gateway do not need it. Not set: all values lie in Redis.",
    ),
    Setting(
        "blob_threshold",
        parse_payload_limit,
        64 * 1024,
        "a size from 1KiB to 4MiB, e.g. 64KiB",
        "Values of more bytes than this go to `blobs`.",
    ),
    Setting(
        "blob_grace",
        parse_interval,
        parse_duration("1h"),
        "a duration of at least 1s, e.g. 1h",
        "How old a value in `blobs` is at least when it is removed because no workflow has it. Longer than any pause of a process.",
        field="blob_grace_ms",
    ),
    Setting(
        "max_workflows",
        parse_count,
        10_000,
        "a whole number, at least 1",
        "Open workflows that one node owns. Further starts go to other nodes; if all are full they are refused with NODE_FULL.",
    ),
    Setting(
        "max_memory",
        parse_memory,
        None,
        "a size of at least 256MiB, e.g. 1.5GB (not set: 80 % of what there is)",
        "Memory of one node. When it is used up, starts go to other nodes; if all are full they are refused with MEMORY_FULL.",
    ),
    Setting(
        "max_queued",
        parse_count,
        10_000,
        "a whole number, at least 1",
        "Tasks that wait in the queue of one capability. Tasks of workflows wait for room; single calls are refused with QUEUE_FULL.",
    ),
    Setting(
        "journal_limit",
        parse_journal_limit,
        50_000,
        "a whole number of entries, at least 100",
        "Entries in the journal of one run. Long-lived workflows begin a fresh journal with `ctx.continue_as_new` before.",
    ),
    Setting(
        "drain",
        parse_duration,
        parse_duration("30s"),
        "a duration, e.g. 30s, 2m",
        "How long a process that is asked to stop waits for its running tasks.",
        field="drain_ms",
    ),
    Setting(
        "escalation_hook",
        parse_hook,
        None,
        "a URL (http://…, https://…) or a command with its arguments",
        "What is told about each open question: a URL that gets a POST, or a command that gets JSON on standard input.",
        secret=True,
        show=public_hook,
    ),
    Setting(
        "remind",
        parse_interval,
        parse_duration("1h"),
        "a duration of at least 1s, e.g. 1h, 1d",
        "Time after which `escalation_hook` is told again about a question that is still open.",
        field="remind_ms",
    ),
    Setting(
        "metrics",
        parse_listen,
        None,
        "host:port (port 0: any free one)",
        "Where this process serves `GET /metrics` for Prometheus. Not set: nowhere.",
    ),
    Setting(
        "metrics_labels",
        parse_label_names,
        (),
        "at most 5 names of workflow labels with commas between them, e.g. tenant,team",
        "Labels of workflows that become labels of `nervenet_workflow_started_total` and `nervenet_workflow_closed_total`. Only for labels with few values.",
    ),
    Setting(
        "log_level",
        one_of("debug", "info", "warning", "error"),
        "info",
        "debug, info, warning or error",
        "The least level that is logged.",
    ),
    Setting(
        "log",
        one_of("auto", "pretty", "json"),
        "auto",
        "auto, pretty or json",
        "Form of log lines. `auto`: `pretty` on a terminal, else `json`.",
    ),
    Setting(
        "replay_check",
        parse_switch,
        False,
        "on or off",
        "Whether a node replays each step a second time, to find code that does not replay. For development: it costs time. `nervenet dev` sets it.",
    ),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


def parse_argument(name: str, value: object) -> Any:
    """The value of one setting that was given as an argument. Raises ConfigError."""
    return BY_NAME[name].parse(value, "argument")
