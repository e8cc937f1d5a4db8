# SPDX-License-Identifier: Apache-2.0
"""Configuration, read once: argument or flag > environment > `nervenet.toml` > default.

    config = Config.load(address="mesh.internal:7700")
    config.address, config.sources["address"]          # ("mesh.internal:7700", "argument")

`SETTINGS` is the table of the documentation: name, how it is read, default. The file is searched in the working
directory only, and there are no profiles: what holds for a process can be read off `nervenet config show`. A wrong
value is refused with a sentence that names the setting, where the value came from, and what it should look like. Only
the token is read again later (`current_token`), because files with tokens are rotated under running processes.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from nervenet.errors import ConfigError

FILE = "nervenet.toml"
MiB = 1 << 20

Durability = Literal["normal", "strict"]
LogForm = Literal["auto", "pretty", "json"]


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


# ── readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<port>\d{1,5})")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SHOWN = ("GiB", "GB", "MiB", "MB", "KiB")
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": MiB, "GiB": 1 << 30}
LONGEST_TOKEN = 4096
_TOKEN = re.compile(rf"[\x20-\x7e]{{1,{LONGEST_TOKEN}}}")  # what a header can carry
_A_TOKEN = f"one line of visible ASCII characters, at most {LONGEST_TOKEN}"
_TRUTH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


def parse_duration(value: str | timedelta) -> int:
    """Milliseconds of `30s`, `7d`, `1.5h`, `250ms` or a timedelta."""
    if isinstance(value, timedelta):
        found = value / timedelta(milliseconds=1)
    elif match := _DURATION.fullmatch(value.strip()):
        found = float(match[1]) * _MS[match[2]]
    else:
        raise ValueError(value)
    if found < 0:
        raise ValueError(value)
    return round(found)


def parse_size(value: str | int) -> int:
    """Bytes of `1MiB`, `512KiB`, `1.5MB`, or of a plain number."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(value)
    return round(float(match[1]) * _BYTES[match[2] or "B"])


def split_host_port(address: str) -> tuple[str, int]:
    """`("::1", 7700)` of `[::1]:7700`; ValueError for what is no host:port."""
    match = _HOST_PORT.fullmatch(address.strip())
    if match is None or int(match["port"]) > 65535:
        raise ValueError(address)
    return match["host"].strip("[]"), int(match["port"])


def is_loopback(host: str) -> bool:
    """Whether that host is this machine, as far as its name says."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(value: str) -> str:
    if not (text := value.strip()):
        raise ValueError(value)
    return text


def _token(value: str) -> str:
    text = value.strip()
    if not _TOKEN.fullmatch(text):
        raise ValueError(value)
    return text


def read_token(file: str) -> str:
    """The token in a file. Raises ConfigError for anything that cannot be one."""
    write = "write the token, and nothing else, to the file"
    try:
        with Path(file).open("rb") as opened:
            found = opened.read(LONGEST_TOKEN + 64)  # a token, and blanks around it
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"token_file {file} cannot be read ({why}): {write}, and let this process read the file"
        ) from None
    if not found.strip():
        raise ConfigError(f"token_file {file} is empty: {write}")
    try:
        return _token(found.decode("ascii"))
    except ValueError:
        raise ConfigError(f"token_file {file} does not hold {_A_TOKEN}: {write}") from None


def _word(pattern: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(value)
        return value

    return read


def _choice(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(value)
        return value.lower()

    return read


def _truth(value: str | bool) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return _TRUTH[value.lower()]
    except KeyError:
        raise ValueError(value) from None


def _count(value: str | int) -> int:
    found = int(value)
    if found < 1 or isinstance(value, (bool, float)):
        raise ValueError(value)
    return found


def _hook(value: str) -> str:
    words = shlex.split(_text(value))
    if value.startswith(("http://", "https://")) and not urlsplit(value).netloc:
        raise ValueError(value)
    return value.strip() if words else _text("")


def _interval(value: str | timedelta) -> int:
    found = parse_duration(value)
    if found < 1_000:
        raise ValueError(value)
    return found


def _journal_limit(value: str | int) -> int:
    found = _count(value)
    if found < 100:
        raise ValueError(value)
    return found


def _payload_limit(value: str | int) -> int:
    found = parse_size(value)
    if not 1024 <= found <= 4 * MiB:
        raise ValueError(value)
    return found


def _memory(value: str | int) -> int:
    found = parse_size(value)
    if found < 256 * MiB:
        raise ValueError(value)
    return found


def _address(value: str) -> str:
    if not value.startswith("dns:///"):
        for one in value.split(","):
            split_host_port(one)
    return value.strip()


def _listen(value: str) -> str:
    split_host_port(value)
    return value.strip()


def _advertise(value: str) -> str:
    host = split_host_port(value if _HOST_PORT.fullmatch(value) else f"{value}:0")[0]
    if _is_wildcard(host):
        raise ValueError(value)
    return value


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _url(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        scheme, separator, rest = value.strip().partition("://")
        if scheme not in schemes or not separator or not rest:
            raise ValueError(value)
        return value.strip()

    return read


def _file(value: str | Path) -> str:
    if not os.path.isfile(value):  # noqa: PTH113  # Path.is_file raises where a folder may not be entered
        raise ValueError(value)
    return str(value)


def _tls(value: str | Path) -> str:
    return str(value).lower() if str(value).lower() in ("on", "off") else _file(value)


# ── what people may see of secret values ─────────────────────────────────────────────────────────────────────────────

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+)(?::\d{1,5})?"
_PUBLIC = re.compile(
    r"(?P<scheme>(?:rediss?|https?)(?:\+sentinel|\+cluster)?|unix)://(?P<user>[^?]*@)?"
    rf"(?P<hosts>{_HOST}(?:,\s*{_HOST})*)?(?P<path>/[A-Za-z0-9_./-]*)?(?P<query>\?[^@]*)?"
)


def public_url(url: str) -> str:
    """The servers of a URL, without user, password and query. `***` where it is not certain which part is which, as in
    `redis://:a?b@host`.
    """
    scheme = url.partition("://")[0]
    match = _PUBLIC.fullmatch(re.sub(r",\s*https?://", ",", url.strip()))
    if match is None:
        return f"{scheme}://***" if _PUBLIC.fullmatch(f"{scheme}://") else "***"
    user, query = "***@" if match["user"] else "", "?***" if match["query"] else ""
    return f"{match['scheme']}://{user}{match['hosts'] or ''}{match['path'] or ''}{query}"


def _public_hook(hook: str) -> str:
    """The host or the program of a hook. The path of a webhook is its password, and arguments of a command may hold
    one.
    """
    if hook.startswith(("http://", "https://")):
        match = _PUBLIC.fullmatch(public_url(hook))
        return f"{match['scheme']}://{match['hosts']}/***" if match and match["hosts"] else "***"
    command, *rest = shlex.split(hook)
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", command):
        return "***"
    return f"{command} ***" if rest else command


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "address",
        _address,
        "localhost:7700",
        "host:port, host:port,host:port or dns:///name:port",
        "Any node or nodes of the mesh, for clients, the command line and gateway agents. If one does not answer, the next one is used.",
    ),
    Setting(
        "namespace",
        _word(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"),
        "default",
        "letters, digits, '.', '_', '-', at most 63",
        "Whose workflows and agents: the tenant. Keys, registry and clients of one namespace never see another one.",
    ),
    Setting(
        "token",
        _token,
        None,
        f"the token: {_A_TOKEN}",
        "The token that every call must carry. Nodes and agents require it as soon as it is set.",
        secret=True,
    ),
    Setting(
        "token_file",
        _file,
        None,
        "the path of a file that can be read",
        "A file with the token, instead of `token`. It is read again when it changes, so the token can be rotated.",
    ),
    Setting(
        "tls",
        _tls,
        None,
        "off, on (the system's authorities) or the path of a CA file",
        "How connections to `address` are secured. Not set: off if every host is this machine, else on.",
    ),
    Setting(
        "tls_cert",
        _file,
        None,
        "the path of a PEM file that can be read",
        "Certificate of this process: what a server shows, and what a client shows where the server asks (mTLS). Goes with `tls_key`.",
    ),
    Setting("tls_key", _file, None, "the path of a PEM file that can be read", "Private key of `tls_cert`."),
    Setting(
        "redis",
        _url("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        None,
        "a URL: redis://host:6379, rediss://…, redis+sentinel://… or redis+cluster://…",
        "Redis or Valkey, which carries journals and tasks. Nodes and agents in Python need it, clients do not.",
        secret=True,
        show=public_url,
    ),
    Setting(
        "etcd",
        _url("http", "https"),
        None,
        "a URL: http://a:2379,b:2379 or https://user:password@a:2379",
        "etcd, which knows which processes live. Nodes need it; agents and clients do not.",
        secret=True,
        show=public_url,
    ),
    Setting(
        "listen",
        _listen,
        None,
        "host:port (port 0: any free one)",
        "Where this process serves gRPC. Not set: `127.0.0.1:7700` for a node, any free port for an agent.",
    ),
    Setting(
        "advertise",
        _advertise,
        None,
        "host or host:port that others can dial, not 0.0.0.0",
        "The host, or host and port, that others dial to reach this process. Not set: `listen`, which then must not be a wildcard.",
    ),
    Setting(
        "durability",
        _choice("normal", "strict"),
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
        "payload_limit",
        _payload_limit,
        MiB,
        "a size from 1KiB to 4MiB, e.g. 1MiB",
        "The largest input, result, signal or checkpoint. Larger values are refused with PAYLOAD_TOO_LARGE: store them elsewhere and pass a URI.",
    ),
    Setting(
        "max_workflows",
        _count,
        10_000,
        "a whole number, at least 1",
        "Open workflows that one node owns. Further starts go to other nodes; if all are full they are refused with NODE_FULL.",
    ),
    Setting(
        "max_memory",
        _memory,
        None,
        "a size of at least 256MiB, e.g. 1.5GB (not set: 80 % of what there is)",
        "Memory of one node. When it is used up, starts go to other nodes; if all are full they are refused with MEMORY_FULL.",
    ),
    Setting(
        "max_queued",
        _count,
        10_000,
        "a whole number, at least 1",
        "Tasks that wait in the queue of one capability. Tasks of workflows wait for room; single calls are refused with QUEUE_FULL.",
    ),
    Setting(
        "journal_limit",
        _journal_limit,
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
        _hook,
        None,
        "a URL (http://…, https://…) or a command with its arguments",
        "What is told about each open question: a URL that gets a POST, or a command that gets JSON on standard input.",
        secret=True,
        show=_public_hook,
    ),
    Setting(
        "remind",
        _interval,
        parse_duration("1h"),
        "a duration of at least 1s, e.g. 1h, 1d",
        "Time after which `escalation_hook` is told again about a question that is still open.",
        field="remind_ms",
    ),
    Setting(
        "log_level",
        _choice("debug", "info", "warning", "error"),
        "info",
        "debug, info, warning or error",
        "The least level that is logged.",
    ),
    Setting(
        "log",
        _choice("auto", "pretty", "json"),
        "auto",
        "auto, pretty or json",
        "Form of log lines. `auto`: `pretty` on a terminal, else `json`.",
    ),
    Setting(
        "replay_check",
        _truth,
        False,
        "on or off",
        "Whether a node replays each step a second time, to find code that does not replay. For development: it costs time. `nervenet dev` sets it.",
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def parse_argument(name: str, value: object) -> Any:
    """The value of one setting that was given as an argument. Raises ConfigError."""
    return _BY_NAME[name].parse(value, "argument")


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
        token: The mesh's token.
        token_file: A file with the token.
        tls: `"off"`, `"on"` or a CA file. None: see `tls_for`.
        tls_cert: This process' certificate.
        tls_key: The key of the certificate.
        redis: URL of Redis or Valkey.
        etcd: URL of etcd.
        listen: Where this process listens. None: see `listen_for`.
        advertise: What others dial. None: see `advertised`.
        durability: `"normal"` or `"strict"`.
        retention_ms: How long closed workflows are kept, in milliseconds.
        payload_limit: Largest payload, in bytes.
        max_workflows: Workflows that one node owns.
        max_memory: Memory of one node, in bytes. None: 80 % of what there is.
        max_queued: Tasks that wait in one queue.
        journal_limit: Entries in one journal.
        drain_ms: How long a process that stops waits for its work, in milliseconds.
        escalation_hook: What is told about open questions.
        remind_ms: Time between two reminders of an open question, in milliseconds.
        log_level: Least level that is logged.
        log: `"auto"`, `"pretty"` or `"json"`.
        replay_check: Whether a node replays each step a second time.
        sources: Where the value of each setting comes from.
    """

    address: str
    namespace: str
    token: str | None
    token_file: str | None
    tls: str | None
    tls_cert: str | None
    tls_key: str | None
    redis: str | None
    etcd: str | None
    listen: str | None
    advertise: str | None
    durability: Durability
    retention_ms: int
    payload_limit: int
    max_workflows: int
    max_memory: int | None
    max_queued: int
    journal_limit: int
    drain_ms: int
    escalation_hook: str | None
    remind_ms: int
    log_level: str
    log: LogForm
    replay_check: bool
    sources: Mapping[str, str]

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
            setting = _BY_NAME[name]
            raise ConfigError(
                f"{name} is not set, and {who} needs it: set {setting.environment}, or {name} in {FILE}, "
                f"to {setting.expected}"
            )
        return value

    @property
    def has_token(self) -> bool:
        """Whether calls of this mesh carry a token."""
        return self.token is not None or self.token_file is not None

    def current_token(self) -> str | None:
        """The token to send now. None: the mesh has none. A token file is read again each time, because it may be
        rotated.

        Raises:
            ConfigError: The file cannot be read, or holds no token.
        """
        if self.token is not None:
            return str(_BY_NAME["token"].parse(self.token, self.sources["token"]))
        return None if self.token_file is None else read_token(self.token_file)

    def listen_for(self, role: Literal["node", "agent"]) -> str:
        """Where a process of this role listens: the setting `listen`, or `127.0.0.1:7700` (node), any free port
        (agent).

        Args:
            role: The role.
        """
        return self.listen or ("127.0.0.1:7700" if role == "node" else "127.0.0.1:0")

    def tls_for(self, address: str) -> str:
        """`"off"`, `"on"` or a CA file, for an address. Not set: off if every host is this machine, else on.

        Args:
            address: The address to dial or to listen at.
        """
        if self.tls is not None:
            return self.tls
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
            return self.advertise if _HOST_PORT.fullmatch(self.advertise) else f"{self.advertise}:{port}"
        if _is_wildcard(host):
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
    if setting.environment in environ and setting.name in ("token", "token_file"):
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
        if name not in _BY_NAME:
            close = difflib.get_close_matches(name.removesuffix("_ms"), _BY_NAME, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(_BY_NAME)}"
            raise ConfigError(f"{source}: there is no setting {name!r}; {hint}")


def _check_pairs(values: dict[str, Any], sources: dict[str, str]) -> None:
    """A stronger source's token hides a weaker one's token file and the other way round; certificate needs key."""
    strength = {"argument": 0, FILE: 2, "default": 3}
    if values["token"] is not None and values["token_file"] is not None:
        token, file = (strength.get(sources[name], 1) for name in ("token", "token_file"))
        if token == file:
            raise ConfigError(f"token and token_file are both set (from {sources['token']}): keep one of them")
        values["token_file" if token < file else "token"] = None
    if (values["tls_cert"] is None) != (values["tls_key"] is None):
        there, missing = ("tls_cert", "tls_key") if values["tls_cert"] else ("tls_key", "tls_cert")
        raise ConfigError(
            f"{there} is set (from {sources[there]}) but {missing} is not: a certificate and its key go together"
        )


def _shown(setting: Setting, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if setting.field:
        return _duration(value)
    if setting.name in ("payload_limit", "max_memory"):
        return next((f"{value // _BYTES[unit]}{unit}" for unit in _SHOWN if value % _BYTES[unit] == 0), f"{value}B")
    return setting.show(value) if setting.secret else str(value)


def _duration(ms: int) -> str:
    unit = next((unit for unit in ("d", "h", "m", "s") if ms % _MS[unit] == 0), "ms")
    return f"{ms // _MS[unit]}{unit}" if ms else "0s"
