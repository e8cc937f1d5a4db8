# SPDX-License-Identifier: Apache-2.0
"""A Redis URL, understood the way redis-py does, and reduced to what a connection needs.

redis-py owns the grammar (`redis://user:password@host:6379/0`, `rediss://…?ssl_ca_certs=…`, `unix:///path?db=1`) and its
TLS defaults; nothing of it leaves this module. It is imported late, because importing it costs 200 ms that
`nervenet --help` should not pay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nervenet.streams.faults import BadAddress

if TYPE_CHECKING:
    import ssl

__all__ = ["Address"]

_FORMS = "redis://[user:password@]host[:6379][/db], rediss://… (TLS) or unix:///path/to/socket[?db=0]"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to be let in. `str()` of it never shows the password."""

    host: str
    port: int
    path: str | None
    db: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.db}"

    def __repr__(self) -> str:
        return f"<Address {self}>"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises `BadAddress` with the usable forms when the URL is none of them."""
        from redis import RedisError
        from redis.asyncio.connection import Connection, parse_url

        _refuse_topologies(url)
        try:
            options: dict[str, Any] = dict(parse_url(url))
            for of_a_pool in ("max_connections", "timeout"):
                options.pop(of_a_pool, None)
            kind = options.pop("connection_class", Connection)
            return cls._from(kind(**options))
        except (ValueError, TypeError, OSError, RedisError) as error:
            raise BadAddress(
                f"cannot use the Redis URL {_shown(url)}: {error}; it should look like {_FORMS}"
            ) from error

    @classmethod
    def _from(cls, connection: Any) -> Address:
        secured = getattr(connection, "ssl_context", None)
        return cls(
            host=getattr(connection, "host", ""),
            port=getattr(connection, "port", 0),
            path=getattr(connection, "path", None),
            db=int(connection.db or 0),
            username=connection.username,
            password=connection.password,
            tls=secured.get() if secured is not None else None,
        )


def _refuse_topologies(url: str) -> None:
    kind = next((word for word in ("sentinel", "cluster") if word in urlsplit(url).scheme), None)
    if kind is not None:
        raise BadAddress(f"{_shown(url)}: Redis {kind.title()} addresses are not understood; give {_FORMS}")


def _shown(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://…@{tail}" if at else url
