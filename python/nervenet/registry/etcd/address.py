# SPDX-License-Identifier: Apache-2.0
"""The address of etcd and the login: `http(s)://user:password@a:2379,b:2379`, and the files for TLS.

    https://a:2379,b:2379?cacert=/etc/ssl/ca.pem&cert=/etc/ssl/node.pem&key=/etc/ssl/node.key

The options have the names of etcdctl's flags. `name` is the name in the certificates of the servers, if it is not the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from nervenet.config import public_url
from nervenet.registry.etcd.faults import BadEtcdAddress

_FORM = "http(s)://user:password@host:2379,host:2379, with https also ?cacert=FILE&cert=FILE&key=FILE&name=HOST"
_OPTIONS = ("cacert", "cert", "key", "name")
_URL = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^:@/]+):(?P<password>[^@/]*)@)?(?P<hosts>[^@/?]+)/?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]]+)(?::(?P<port>\d{1,5}))?")


@dataclass(slots=True, frozen=True)
class Tls:
    """PEM files: the trusted authorities (None: those of the system) and, for mTLS, our own certificate and key."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""
    """The name in the servers' certificates. "": the dialled host."""


@dataclass(slots=True, frozen=True)
class EtcdAddress:
    """A parsed URL. Its `repr` has no password."""

    endpoints: tuple[str, ...]
    secure: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls = Tls()

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
            _tls(match["query"] or "", match["scheme"], url),
        )


def _tls(query: str, scheme: str, url: str) -> Tls:
    options = dict(parse_qsl(query, keep_blank_values=True))
    shown = public_url(url)
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise BadEtcdAddress(f"etcd address {shown} has no option {unknown[0]}; the form is {_FORM}")
    if options and scheme != "https":
        raise BadEtcdAddress(f"etcd address {shown} has options of TLS, but not https; the form is {_FORM}")
    if ("cert" in options) != ("key" in options):
        raise BadEtcdAddress(f"etcd address {shown}: cert and key go together; the form is {_FORM}")
    for option in ("cacert", "cert", "key"):
        if option in options and not Path(options[option]).is_file():
            raise BadEtcdAddress(f"etcd address {shown}: {option} is not the path of a file that can be read")
    ca, certificate, key = (Path(options[name]) if name in options else None for name in ("cacert", "cert", "key"))
    return Tls(ca, certificate, key, options.get("name", ""))


def _endpoint(part: str, scheme: str, url: str) -> str:
    match = _HOST.fullmatch(part.strip())
    if match is None or int(match["port"] or 2379) > 65535:
        raise BadEtcdAddress(f"a server in etcd address {public_url(url)} is not host:port; the form is {_FORM}")
    return f"{match['name']}:{match['port'] or 2379}"
