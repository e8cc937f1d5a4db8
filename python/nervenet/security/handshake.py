# SPDX-License-Identifier: Apache-2.0
"""Why TLS between two processes fails, in words that name the setting.

    await trouble("node-1:7700", files)      # "the certificate of node-1:7700 has expired: renew it there (…)"

gRPC says "Ssl handshake failed" and little more. So when a caller gives up, the handshake is made once more with Python's
TLS, which tells the reason. It sends no request, and nothing of it is on the path of a call that succeeds.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final

from nervenet.clock import SYSTEM
from nervenet.security.pem import PemFiles, validity_of

__all__ = ["trouble"]

WITHIN: Final = 3.0
"""Seconds for the whole examination."""
ALERT_WITHIN: Final = 0.5
"""Seconds in which a server that does not like our certificate refuses it: in TLS 1.3 the handshake is over before."""

_FRAME_HEAD: Final = 9
_SETTINGS: Final = 4
"""The type of the frame with which an HTTP/2 server answers."""
SET_TLS: Final = "set NERVENET_TLS to on, or to the file of its authority"
TLS_OFF: Final = "set NERVENET_TLS=off"

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""How every HTTP/2 connection begins, with empty settings: a server that accepts it answers."""


async def trouble(
    target: str,
    files: PemFiles | None,
    *,
    name: str = "",
    alpn: str = "",
    enable: str = SET_TLS,
    disable: str = TLS_OFF,
) -> str:
    """What is wrong with TLS between here and there; "" if that is not what is wrong, or cannot be told.

    Args:
        target: host:port, or several with commas between them: the first one is examined.
        files: What this process shows and trusts. None: it uses no TLS.
        name: The name in the server's certificate, if it is not the host.
        alpn: "h2" for gRPC.
        enable: What to do if only the other side speaks TLS.
        disable: What to do if only this side does.
    """
    host, _, port = target.removeprefix("dns:///").split(",")[0].strip().rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit():
        return ""
    try:
        async with asyncio.timeout(WITHIN):
            if files is None:
                return await _plain_meets_tls(host, int(port), alpn, enable)
            return await _examined(host, int(port), files, name, alpn, disable)
    except (OSError, TimeoutError):
        return ""


async def _plain_meets_tls(host: str, port: int, alpn: str, enable: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (ssl.SSLError, ConnectionError):
        return ""
    writer.close()
    return f"{host}:{port} speaks TLS and this process does not: {enable}"


async def _examined(host: str, port: int, files: PemFiles, name: str, alpn: str, disable: str) -> str:
    try:
        context = ssl.create_default_context(cafile=files.ca)
        if files.certificate and files.key:
            context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        return f"{files.ca_setting}, {files.certificate_setting} or {files.key_setting} cannot be used: {error}"
    if alpn:
        context.set_alpn_protocols([alpn])
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name or host)
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(f"{host}:{port}", error, files)
    except (ssl.SSLEOFError, ConnectionResetError):  # it closed in the midst of the handshake
        return _no_tls(f"{host}:{port}", disable) if await _speaks_plain_http2(host, port) else ""
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE"):
            return _no_tls(f"{host}:{port}", disable)
        return _refused(f"{host}:{port}", error.reason or str(error), files)
    try:
        return await _after(reader, writer, f"{host}:{port}", files)
    finally:
        writer.close()


async def _speaks_plain_http2(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_PREFACE)
        frame = await reader.readexactly(_FRAME_HEAD)
        return frame[3] == _SETTINGS
    except asyncio.IncompleteReadError:
        return False
    finally:
        writer.close()


def _no_tls(where: str, disable: str) -> str:
    return f"{where} does not speak TLS, and this process does: {disable} if that is intended"


async def _after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str, files: PemFiles) -> str:
    """Whether the server takes our certificate, or asks for one."""
    with suppress(TimeoutError):
        try:
            async with asyncio.timeout(ALERT_WITHIN):
                writer.write(_PREFACE)
                await writer.drain()
                if not await reader.read(1):
                    return _refused(where, "it closes the connection", files)
        except ssl.SSLError as error:
            return _refused(where, error.reason or str(error), files)
        except ConnectionError:
            return _refused(where, "it closes the connection", files)
    return ""


def _not_trusted(where: str, error: ssl.SSLCertVerificationError, files: PemFiles) -> str:
    reason = error.verify_message
    said = f"the certificate of {where} is not accepted: {reason}"
    if "expired" in reason or "not yet valid" in reason:
        return f"{said}; replace it there"
    if "match" in reason or "not valid for" in reason:
        return f"{said}; dial a name that is in it, or set {files.name_setting} to one that is"
    trusted = files.ca or "the authorities of the system"
    return (
        f"{said}; this process trusts {trusted} ({files.ca_setting}), which must hold the authority of that certificate"
    )


def _refused(where: str, reason: str, files: PemFiles) -> str:
    if not files.certificate or not files.key:
        return (
            f"{where} refuses the connection ({_words(reason)}): it asks for a certificate, and "
            f"{files.certificate_setting} and {files.key_setting} are not set"
        )
    with suppress(ssl.SSLError, OSError):
        if validity_of(files.certificate, files.key).ends <= SYSTEM.now_ms() / 1000:
            reason = "it has expired"
    return (
        f"{where} refuses the certificate of this process, {files.certificate} ({_words(reason)}): "
        f"{files.certificate_setting} must be valid and issued by an authority that {where} trusts"
    )


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
