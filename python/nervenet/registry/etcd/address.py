# SPDX-License-Identifier: Apache-2.0
"""The address of etcd and the login: `http(s)://user:password@a:2379,b:2379`, and the files for TLS."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from nervenet.config import public_url
from nervenet.registry.etcd.faults import BadEtcdAddress

_FORM = "http(s)://user:password@host:2379,host:2379"
_URL = re.compile(r"(?P<scheme>https?)://(?:(?P<user>[^:@/]+):(?P<password>[^@/]*)@)?(?P<hosts>[^@/]+)/?")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]]+)(?::(?P<port>\d{1,5}))?")


@dataclass(slots=True, frozen=True)
class Tls:
    """PEM files: the trusted authorities (None: those of the system) and, for mTLS, our own certificate and key."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(slots=True, frozen=True)
class EtcdAddress:
    """A parsed URL. Its `repr` has no password."""

    endpoints: tuple[str, ...]
    secure: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> EtcdAddress:
        match = _URL.fullmatch(re.sub(r",\s*https?://", ",", url.strip()))  # `http://a,http://b`, as etcdctl has it
        if match is None:
            raise BadEtcdAddress(f"etcd address {public_url(url)} is not of the form {_FORM}")
        endpoints = tuple(_endpoint(part, match["scheme"], url) for part in match["hosts"].split(","))
        return cls(
            endpoints,
            match["scheme"] == "https",
            unquote(match["user"] or ""),
            unquote(match["password"] or ""),
        )


def _endpoint(part: str, scheme: str, url: str) -> str:
    match = _HOST.fullmatch(part.strip())
    if match is None or int(match["port"] or 2379) > 65535:
        raise BadEtcdAddress(f"a server in etcd address {public_url(url)} is not host:port; the form is {_FORM}")
    return f"{match['name']}:{match['port'] or 2379}"
