# SPDX-License-Identifier: Apache-2.0
"""The PEM files of a process: read, checked, and read again when they change.

    watch = PemWatch(PemFiles(ca="ca.pem", certificate="node.pem", key="node.key"))
    watch.pem.certificate        # bytes, of a pair that fits
    watch.look_if_due()          # at most one look at the files each second
    watch.version                # rises with each new content

Certificates are rotated under running processes, and nobody writes three files in one step. So what was read counts only
if the certificate fits the key and the authorities can be parsed; until then the last good content stays in use, and
`problem` says why. The code that begins a handshake or a call asks `look_if_due`, which
costs a reading of the clock; a server looks once a second, so that it reports trouble without callers too. `FollowedFile` does both.
"""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import ConfigError
from nervenet.followed_file import FollowedFile
from nervenet.timing import CERTIFICATE_WARN_EVERY

__all__ = ["Pem", "PemFiles", "PemWatch", "Validity", "validity_of"]

DAY: Final = 86_400.0
SOON: Final = 14 * DAY
"""Seconds before its end from which on a certificate is reported."""
SOON_SHARE: Final = 0.2
"""The same for short lives: the share of its life that is left. cert-manager renews when a third is left."""

_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: an expired certificate is decoded too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PemFiles:
    """Paths, and how the settings that name them are called. A certificate and its key go together."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    ca_setting: str = "NERVENET_TLS"
    certificate_setting: str = "NERVENET_TLS_CERT"
    key_setting: str = "NERVENET_TLS_KEY"
    name_setting: str = "NERVENET_TLS_NAME"

    def __bool__(self) -> bool:
        return bool(self.ca or self.certificate)


class Validity(NamedTuple):
    """From when until when a certificate counts, in seconds since 1970."""

    begins: float
    ends: float

    def ends_soon(self, now: float) -> bool:
        """Whether it should have been renewed by now."""
        return self.ends - now < min(SOON, SOON_SHARE * (self.ends - self.begins))


@dataclass(frozen=True, slots=True)
class Pem:
    """What the files hold. The key is not shown."""

    ca: bytes | None
    certificate: bytes | None
    key: bytes | None
    validity: Validity | None = None

    def __repr__(self) -> str:
        return f"<Pem {'with' if self.certificate else 'without'} certificate>"


class PemWatch:
    """The content of the files, as it is now. It may be asked from any thread.

    Raises ConfigError, with the setting, if the files cannot be used when it is made. Later it keeps the last good content.
    """

    def __init__(self, files: PemFiles, clock: Clock = SYSTEM) -> None:
        self.files = files
        self._clock = clock
        self._warned = float("-inf")
        self._file = FollowedFile(
            self._names(),
            lambda: _signature(files),
            lambda signature: _read_settled(files, signature),
            noun="certificate",
            on_change=self._tell,
            on_look=self._warn_if_ending,
            clock=clock,
        )
        self._warn_if_ending()

    def __repr__(self) -> str:
        return f"<PemWatch {self.files.certificate or self.files.ca} version {self.version}>"

    @property
    def pem(self) -> Pem:
        """What counts."""
        assert self._file.value is not None  # the last good content always counts
        return self._file.value

    @property
    def version(self) -> int:
        """Rises with each new content."""
        return self._file.version

    @property
    def problem(self) -> str:
        """Why the files cannot be used as they are now; "" where they can."""
        return self._file.problem

    def look_if_due(self) -> int:
        """Look at the files if the last look was some time ago; the version that counts."""
        return self._file.look_if_due()

    async def follow(self) -> None:
        """Look at the files again and again, without end: so that a server without callers too reports files that it cannot
        use, and a certificate that ends soon."""
        await self._file.follow()

    def _tell(self, found: Pem) -> None:
        _log.info("%s has changed: new connections use it%s", self._names(), _until(found.validity))

    def _warn_if_ending(self) -> None:
        now, validity = self._clock.now_ms() / 1000, self.pem.validity
        if validity is None or not validity.ends_soon(now) or self._clock.monotonic() < self._warned:
            return
        self._warned = self._clock.monotonic() + CERTIFICATE_WARN_EVERY
        left = validity.ends - now
        ends = "has expired" if left <= 0 else f"ends in {_span(left)}"
        _log.warning("certificate %s %s: replace the files, this process reads them again", self._names(), ends)

    def _names(self) -> str:
        return self.files.certificate or self.files.ca or ""


def validity_of(certificate: str | Path, key: str | Path) -> Validity:
    """From when until when a certificate counts, also one that has expired.

    Python decodes a certificate only in a handshake. So the certificate is shown in one within this process, to a side that
    trusts this one alone; nothing leaves the process.

    Raises:
        ssl.SSLError: It does not fit the key, or is no certificate.
        OSError: A file cannot be read.
    """
    try:
        told = _shown(certificate, key, ssl.PROTOCOL_TLS_SERVER)
    except ssl.SSLCertVerificationError:  # it may be for clients only
        told = _shown(certificate, key, ssl.PROTOCOL_TLS_CLIENT)
    begins, ends = (float(ssl.cert_time_to_seconds(str(told[name]))) for name in ("notBefore", "notAfter"))
    return Validity(begins, ends)


def _shown(certificate: str | Path, key: str | Path, role: ssl._SSLMethod) -> dict[str, Any]:
    """The certificate, as the other side of a handshake sees it if this role shows it."""
    sides = {kind: ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)}
    for kind, context in sides.items():
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE if kind is role else ssl.CERT_REQUIRED
        context.load_cert_chain(certificate, key, password=_no_password)
        context.load_verify_locations(certificate)
        context.verify_flags |= (
            ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        )  # trusted as it is, without its authority
    sides[ssl.PROTOCOL_TLS_SERVER].maximum_version = ssl.TLSVersion.TLSv1_2  # both sides are done at the same time
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = sides[ssl.PROTOCOL_TLS_CLIENT].wrap_bio(to_client, to_server)
    server = sides[ssl.PROTOCOL_TLS_SERVER].wrap_bio(to_server, to_client, server_side=True)
    while not all([_step(client), _step(server)]):
        pass
    told = (client if role is ssl.PROTOCOL_TLS_SERVER else server).getpeercert()
    assert told is not None
    return told


def _step(side: ssl.SSLObject) -> bool:
    """Whether this side of the handshake is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _no_password() -> str:
    """Called for an encrypted key. Without it OpenSSL asks at the terminal, and waits."""
    raise ssl.SSLError("the key is encrypted; nervenet needs one without a password")


def _signature(files: PemFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Another one whenever a file was replaced or written."""
    return tuple(map(_stat, (files.ca, files.certificate, files.key)))


def _stat(path: str | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116  # Path costs more, and this is done each second
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read_settled(files: PemFiles, signature: object) -> Pem:
    """What the files hold, if nobody has written them since they had this signature."""
    found = _read(files)
    if _signature(files) != signature:
        raise ConfigError(f"{files.certificate or files.ca} is being written")
    return found


def _read(files: PemFiles) -> Pem:
    """What the files hold. Raises ConfigError if they do not fit."""
    ca = _bytes(files.ca, files.ca_setting)
    if ca is not None:
        _check_authorities(ca, files)
    certificate = _bytes(files.certificate, files.certificate_setting)
    key = _bytes(files.key, files.key_setting)
    validity = None
    if files.certificate is not None and files.key is not None:
        try:
            validity = validity_of(files.certificate, files.key)
        except ssl.SSLError as error:
            raise ConfigError(
                f"{files.certificate_setting} {files.certificate} and {files.key_setting} {files.key} "
                f"cannot be used together: {_words(error)}"
            ) from None
        except OSError as error:
            raise ConfigError(f"{files.certificate} or {files.key} cannot be read: {error.strerror}") from None
    return Pem(ca, certificate, key, validity)


def _bytes(path: str | None, setting: str) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting} {path} cannot be read: {error.strerror}") from None


def _check_authorities(ca: bytes, files: PemFiles) -> None:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ca.decode("ascii"))
        if ca.count(b"-----BEGIN") != ca.count(b"-----END"):
            raise ssl.SSLError("it ends within a certificate")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{files.ca_setting} {files.ca} has no authorities that can be read: {_words(error)}"
        ) from None


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if "PEM lib" in str(error):
        return "a file is cut off, or is no PEM file"
    known = {
        "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
        "NO_START_LINE": "there is no certificate or key in it",
    }
    return known.get(str(reason), str(reason).lower().replace("_", " "))


def _until(validity: Validity | None) -> str:
    return "" if validity is None else f" (valid until {_day(validity.ends)})"


def _day(seconds: float) -> str:
    import datetime  # only for people

    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _span(seconds: float) -> str:
    return f"{seconds / DAY:.0f} days" if seconds >= 2 * DAY else f"{seconds / 3600:.1f} hours"
