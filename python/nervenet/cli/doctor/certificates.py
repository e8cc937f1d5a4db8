# SPDX-License-Identifier: Apache-2.0
"""Certificates: whether the files of this machine can be used, and until when the certificates are valid."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from nervenet.cli.doctor.check import Check, error, ok, warning
from nervenet.config import Config
from nervenet.errors import ConfigError
from nervenet.security.pem import PemFiles, PemWatch, Validity

DAY: Final = 86_400.0
RENEW: Final = "replace the files: processes that run read them again"


def certificate_checks(config: Config, now_ms: int) -> list[Check]:
    """The certificates in the settings. Nothing if there are none."""
    named = {
        "certificate": _files_of_processes(config),
        "redis.certificate": _files_in(config.redis, "NERVENET_REDIS", ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")),
        "etcd.certificate": _files_in(config.etcd, "NERVENET_ETCD", ("cacert", "cert", "key")),
    }
    return [_examined(name, files, now_ms / 1000) for name, files in named.items() if files]


def judge(name: str, file: str, validity: Validity, now: float) -> Check:
    """The check, from the time in which a certificate counts."""
    days = (validity.ends - now) / DAY
    if validity.ends <= now:
        return error(name, f"{file} has expired", RENEW)
    if validity.begins > now:
        return error(name, f"{file} is not valid yet: the clock of this machine, or of its authority, is wrong", RENEW)
    said = f"{file} is valid for {days:.0f} days" if days >= 2 else f"{file} is valid for {24 * days:.0f} hours"
    return warning(name, said, RENEW) if validity.ends_soon(now) else ok(name, said)


def _examined(name: str, files: PemFiles, now: float) -> Check:
    try:
        validity = PemWatch(files).pem.validity
    except ConfigError as fault:
        return error(name, str(fault), RENEW)
    if validity is None:
        return ok(name, f"{files.ca} can be read")
    return judge(name, files.certificate or "", validity, now)


def _files_of_processes(config: Config) -> PemFiles:
    ca = config.tls if config.tls not in (None, "on", "off") else None
    return PemFiles(ca, config.tls_cert, config.tls_key)


def _files_in(url: str | None, setting: str, options: tuple[str, str, str]) -> PemFiles:
    query = dict(parse_qsl(urlsplit(url or "").query))
    ca, certificate, key = (query.get(option) for option in options)
    return PemFiles(ca, certificate, key or certificate, *(f"{option} of {setting}" for option in options))
