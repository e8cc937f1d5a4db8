# SPDX-License-Identifier: Apache-2.0
"""From text to the value of a setting, and back to text for people.

    parse_duration("1.5h")             # 5_400_000
    public_url("redis://:secret@a:1")  # "redis://***@a:1"

Each function takes what an argument, a variable or `nervenet.toml` may hold, and raises ValueError for what it is not.
`settings.py` turns that into a sentence.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from nervenet.errors import ConfigError

MiB = 1 << 20
HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<port>\d{1,5})")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9_.-]*)(?::\d{1,5})?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SHOWN = ("GiB", "GB", "MiB", "MB", "KiB")
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": MiB, "GiB": 1 << 30}
MOST_LABEL_NAMES = 5
_LABEL_NAME = re.compile(r"[A-Za-z](?!_)[A-Za-z0-9_./-]{0,62}|[A-Za-z]")
_TAKEN_LABELS = frozenset(
    {"role", "definition", "outcome", "le", "quantile", "job", "instance", "nervenet_namespace", "nervenet.namespace"}
)
LONGEST_TOKEN = 7168
"""JWTs are long, and gRPC takes 8 KiB of metadata."""
_TOKEN = re.compile(rf"[\x20-\x7e]{{1,{LONGEST_TOKEN}}}")  # what a header can carry
A_TOKEN = f"one line of visible ASCII characters, at most {LONGEST_TOKEN}"
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
A_NAMESPACE = "letters, digits, '.', '_', '-', at most 63"
MOST_NAMESPACES = 50
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
    match = HOST_PORT.fullmatch(address.strip())
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


def parse_token(value: str) -> str:
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
        return parse_token(found.decode("ascii"))
    except ValueError:
        raise ConfigError(f"token_file {file} does not hold {A_TOKEN}: {write}") from None


def word_of(pattern: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(value)
        return value

    return read


def parse_namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError(value)
    return value


def parse_namespaces(value: str | Sequence[str]) -> tuple[str, ...]:
    """`("a", "b")` of `a,b` or of a list of them."""
    parts = value.split(",") if isinstance(value, str) else value
    found = tuple(parse_namespace(part.strip()) for part in parts)
    if not 1 <= len(found) <= MOST_NAMESPACES or len(set(found)) < len(found):
        raise ValueError(value)
    return found


def one_of(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(value)
        return value.lower()

    return read


def parse_switch(value: str | bool) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return _TRUTH[value.lower()]
    except KeyError:
        raise ValueError(value) from None


def parse_count(value: str | int) -> int:
    found = int(value)
    if found < 1 or isinstance(value, (bool, float)):
        raise ValueError(value)
    return found


def parse_https(value: str) -> str:
    """A URL of somebody who decides whose signatures count, so nobody may change what it sends."""
    parts = urlsplit(value.strip())
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not (safe and parts.hostname) or parts.username or parts.query or parts.fragment:
        raise ValueError(value)
    return value.strip()


def parse_hook(value: str) -> str:
    words = shlex.split(_text(value))
    if value.startswith(("http://", "https://")) and not urlsplit(value).netloc:
        raise ValueError(value)
    return value.strip() if words else _text("")


def parse_interval(value: str | timedelta) -> int:
    found = parse_duration(value)
    if found < 1_000:
        raise ValueError(value)
    return found


def parse_journal_limit(value: str | int) -> int:
    found = parse_count(value)
    if found < 100:
        raise ValueError(value)
    return found


def parse_payload_limit(value: str | int) -> int:
    found = parse_size(value)
    if not 1024 <= found <= 4 * MiB:
        raise ValueError(value)
    return found


_OWN_CODEC = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def check_codec(value: str) -> str:
    """`gzip,aes-gcm:/etc/nervenet/keys`, without spaces."""
    parts = [part.strip() for part in _text(value).split(",")]
    for part in parts:
        file = part.removeprefix("aes-gcm:") if part.startswith("aes-gcm:") else ""
        if part != "gzip" and not file.removeprefix("env:") and not _OWN_CODEC.fullmatch(part):
            raise ValueError(value)
        if part == "aes-gcm:" or parts.count(part) > 1:
            raise ValueError(value)
    return ",".join(parts)


def parse_memory(value: str | int) -> int:
    found = parse_size(value)
    if found < 256 * MiB:
        raise ValueError(value)
    return found


def parse_address(value: str) -> str:
    if not value.startswith("dns:///"):
        for one in value.split(","):
            split_host_port(one)
    return value.strip()


def parse_listen(value: str) -> str:
    split_host_port(value)
    return value.strip()


def parse_advertise(value: str) -> str:
    host = split_host_port(value if HOST_PORT.fullmatch(value) else f"{value}:0")[0]
    if is_wildcard(host):
        raise ValueError(value)
    return value


def parse_label_names(value: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """`tenant,team`: names of labels that may become labels of metrics."""
    names = [name.strip() for name in (value.split(",") if isinstance(value, str) else value)]
    shown = [re.sub(r"[^A-Za-z0-9_]", "_", name) for name in names]
    if len({*shown, *_TAKEN_LABELS}) < len(shown) + len(_TAKEN_LABELS) or len(names) > MOST_LABEL_NAMES:
        raise ValueError(value)
    if not all(_LABEL_NAME.fullmatch(name) for name in names):
        raise ValueError(value)
    return tuple(names)


def parse_origins(value: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """`https://a.example,http://localhost:3000`, as browsers write them."""
    origins = tuple(
        one.strip().lower().removesuffix("/") for one in (value.split(",") if isinstance(value, str) else value)
    )
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError(value)
    return origins


def is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def url_with(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        scheme, separator, rest = value.strip().partition("://")
        if scheme not in schemes or not separator or not rest:
            raise ValueError(value)
        return value.strip()

    return read


def parse_archive(value: str) -> str:
    """`file:///folder` (an absolute path) or `s3://bucket/prefix?endpoint=…&region=…`."""
    parts = urlsplit(_text(value))
    options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and not parts.query
    bucket = parts.scheme == "s3" and parts.netloc and options.keys() <= {"endpoint", "region"}
    if not (folder or bucket) or parts.username or parts.fragment:
        raise ValueError(value)
    return value.strip()


def readable_file(value: str | Path) -> str:
    if not os.path.isfile(value):  # noqa: PTH113  # Path.is_file raises where a folder may not be entered
        raise ValueError(value)
    return str(value)


def parse_audit(value: str | Path) -> str:
    """`-`, `otlp`, or the path of a file in a folder that exists."""
    if str(value) not in ("-", "otlp") and not Path(value).absolute().parent.is_dir():
        raise ValueError(value)
    return str(value)


def parse_tls(value: str | Path) -> str:
    return str(value).lower() if str(value).lower() in ("on", "off") else readable_file(value)


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


def public_hook(hook: str) -> str:
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


def format_size(size: int) -> str:
    return next((f"{size // _BYTES[unit]}{unit}" for unit in _SHOWN if size % _BYTES[unit] == 0), f"{size}B")


def format_duration(ms: int) -> str:
    unit = next((unit for unit in ("d", "h", "m", "s") if ms % _MS[unit] == 0), "ms")
    return f"{ms // _MS[unit]}{unit}" if ms else "0s"
