# SPDX-License-Identifier: Apache-2.0
"""A Redis URL, parsed as redis-py does, and reduced to what a connection needs.

redis-py defines the grammar for one server (`redis://user:password@host:6379/0`, `rediss://…?ssl_ca_certs=…`,
`unix:///path?db=1`) and its TLS defaults; none of its objects leave this module. It has no URL for several servers, so
those follow other tools (`limits`, `redis-sentinel-url`):

    redis+sentinel://user:password@s1:26379,s2:26379/mymaster/0?sentinel_password=…     rediss+sentinel://… with TLS
    redis+cluster://user:password@h1:6379,h2:6379                                      rediss+cluster://…  with TLS

User and password before the hosts are for the data servers. For the sentinels there are `sentinel_username` and
`sentinel_password`, and `sentinel_tls=no` connects to them without TLS although the scheme has it.

redis-py is imported late: its import takes 200 ms, which `nervenet --help` should not need.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from nervenet.config import public_url
from nervenet.redis_link.faults import BadAddress
from nervenet.security.pem import PemFiles, PemWatch

if TYPE_CHECKING:
    import ssl

__all__ = ["ClusterAddress", "RedisAddress", "SentinelAddress", "ServerAddress", "parse"]

_FILE_OPTIONS: Final = tuple(
    f"ssl_{which} of NERVENET_REDIS" for which in ("ca_certs", "certfile", "keyfile", "check_hostname")
)

_log = logging.getLogger(__name__)

_FORMS: Final = (
    "redis://[user:password@]host[:6379][/db], rediss://… (TLS), unix:///path/to/socket[?db=0], "
    "redis+sentinel://host[:26379],host…/master-name[/db] or redis+cluster://host[:6379],host…"
)

_ENCODED: Final = "user and password must be percent-encoded (/ is %2F, # is %23, ? is %3F, @ is %40)"


class RedisTls:
    """The TLS of a connection that is opened now: redis-py's options, with files that are read again when they change.

    Open connections go on. A new one uses what the files hold, or held when they could last be used.
    """

    def __init__(self, options: Any) -> None:
        self._options = options  # redis-py's RedisSSLContext
        self._latest: ssl.SSLContext = options.get()
        self.files = PemFiles(options.ca_certs, options.certfile, options.keyfile or options.certfile, *_FILE_OPTIONS)
        self._watch = PemWatch(self.files) if self.files and not options.password else None
        self._version = 1

    def __repr__(self) -> str:
        return f"<RedisTls {self.files.ca or 'system'}>"

    def context(self) -> ssl.SSLContext:
        """The context for a new connection."""
        if self._watch is not None and (version := self._watch.look_if_due()) != self._version:
            self._options.context = None
            try:
                self._latest, self._version = self._options.get(), version
            except (OSError, ValueError) as error:  # written again since they were looked at
                _log.warning("Redis is reached with the last good certificate: %s", error)
        return self._latest


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of one server, and the login for it. Its `str()` never contains the password.

    `member`: the server is expected to be a member of a Redis Cluster.
    """

    host: str
    port: int
    path: str | None
    db: int
    username: str | None
    password: str | None
    tls: RedisTls | None
    member: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        return f"{'rediss' if self.tls else 'redis'}://{self.where}/{self.db}"

    def __repr__(self) -> str:
        return f"<ServerAddress {self}>"

    @property
    def where(self) -> str:
        """`host:port`"""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """The address of one server. Raises `BadAddress`, with the valid forms, for any other URL."""
        from redis import RedisError
        from redis.asyncio.connection import Connection, parse_url

        try:
            options: dict[str, Any] = dict(parse_url(url))
            for of_a_pool in ("max_connections", "timeout"):
                options.pop(of_a_pool, None)
            kind = options.pop("connection_class", Connection)
            return cls._from(kind(**options))
        except (ValueError, TypeError, OSError, RedisError) as error:
            raise _unusable(url, error) from None

    @classmethod
    def _from(cls, connection: Any) -> ServerAddress:
        secured = getattr(connection, "ssl_context", None)
        return cls(
            host=getattr(connection, "host", ""),
            port=getattr(connection, "port", 0),
            path=getattr(connection, "path", None),
            db=int(connection.db or 0),
            username=connection.username,
            password=connection.password,
            tls=RedisTls(secured) if secured is not None else None,
        )

    def at(self, host: str, port: int) -> ServerAddress:
        """The address of another server with the same login."""
        return replace(self, host=host, port=port, path=None)


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """A master by its name, and the sentinels that know its address. `server` has the login and TLS for it, no
    address."""

    sentinels: tuple[ServerAddress, ...]
    master: str
    server: ServerAddress

    def __str__(self) -> str:
        scheme = "rediss" if self.server.tls else "redis"
        return f"{scheme}+sentinel://{','.join(one.where for one in self.sentinels)}/{self.master}/{self.server.db}"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Some members of a Redis Cluster. One that answers is enough, because it names the others."""

    seeds: tuple[ServerAddress, ...]

    def __str__(self) -> str:
        scheme = "rediss" if self.seeds[0].tls else "redis"
        return f"{scheme}+cluster://{','.join(seed.where for seed in self.seeds)}"


RedisAddress: TypeAlias = ServerAddress | SentinelAddress | ClusterAddress


def parse(url: str) -> RedisAddress:
    """Parse a URL of any form. Raises `BadAddress`, with the valid forms, for any other text."""
    scheme, _, rest = url.partition("://")
    if "#" in url or ("@" in rest.partition("/")[2].partition("?")[0] and scheme != "unix"):
        raise _unusable(url, _ENCODED)  # or a part of the password would be read as host, port or database
    if scheme in ("redis+sentinel", "rediss+sentinel"):
        return _sentinels(url)
    if scheme in ("redis+cluster", "rediss+cluster"):
        return _cluster(url)
    return ServerAddress.parse(url)


def _sentinels(url: str) -> SentinelAddress:
    scheme, userinfo, hosts, path, query = _taken_apart(url, 26_379)
    master, _, db = path.partition("/")
    if not master or not (db or "0").isdigit():
        raise _unusable(
            url, "it needs the master's name after the sentinels, and then, if anything, the number of a database"
        )
    user, password = query.pop("sentinel_username", ""), query.pop("sentinel_password", "")
    tls = scheme if query.pop("sentinel_tls", "yes") not in ("no", "0", "false") else "redis"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""
    options = {key: value for key, value in query.items() if tls == "rediss" or not key.startswith("ssl_")}
    try:
        watching = tuple(ServerAddress.parse(f"{tls}://{login}{host}?{urlencode(options)}") for host in hosts)
        server = ServerAddress.parse(f"{scheme}://{userinfo}{hosts[0]}/{db or '0'}?{urlencode(query)}")
    except BadAddress as error:
        raise _unusable(url, error) from None
    return SentinelAddress(watching, master, server)


def _cluster(url: str) -> ClusterAddress:
    scheme, userinfo, hosts, path, query = _taken_apart(url, 6_379)
    if path not in ("", "0"):
        raise _unusable(url, "a cluster has no databases except 0")
    try:
        seeds = tuple(ServerAddress.parse(f"{scheme}://{userinfo}{host}?{urlencode(query)}") for host in hosts)
    except BadAddress as error:
        raise _unusable(url, error) from None
    return ClusterAddress(tuple(replace(seed, member=True) for seed in seeds))


def _taken_apart(url: str, port: int) -> tuple[str, str, list[str], str, dict[str, str]]:
    """The scheme of one server, `user:password@`, `host:port` of each server, path and query."""
    parts = urlsplit(url)
    userinfo, at, listed = parts.netloc.rpartition("@")
    hosts = [host if host.rpartition("]")[2].count(":") else f"{host}:{port}" for host in listed.split(",") if host]
    if not hosts:
        raise _unusable(url, "it names no host")
    return parts.scheme.partition("+")[0], userinfo + at, hosts, parts.path.strip("/"), dict(parse_qsl(parts.query))


def _unusable(url: str, why: object) -> BadAddress:
    shown = public_url(url)
    if isinstance(why, BadAddress):
        why = why.why
    elif isinstance(why, BaseException):
        why = _safe_message(why, shown)
    error = BadAddress(f"cannot use the Redis URL {shown}: {why}; it should look like {_FORMS}")
    error.why = str(why)
    return error


def _safe_message(error: BaseException, shown: str) -> str:
    """The text of redis-py's error, if it cannot contain a part of the password.

    Such errors quote what they could not parse. So the text is used if the URL has no secret, or if it is certain that
    it is about the name of an option.
    """
    if "***" not in shown or (isinstance(error, TypeError) and not shown.endswith("://***")):
        return str(error)
    return f"its host, port, database or options cannot be read; {_ENCODED}"
