# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between us and etcd: gRPC statuses translated once, at the border.

The question that matters about a failed write is whether it may have happened. `EtcdUnavailable.sent` answers it, and
is true wherever we can't know.
"""

from __future__ import annotations

import grpc
import grpc.aio

from nervenet.errors import ConfigError, NervenetError


class EtcdError(NervenetError):
    """Something between us and etcd."""


class EtcdUnavailable(EtcdError, ConnectionError):
    """No member answered in time, after trying the others. `sent` is false when the request surely had no effect."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class EtcdRefused(EtcdError):
    """etcd said no: a wrong password, no permission, no space left. Repeating it changes nothing; ask the operator."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class LeaseNotFound(EtcdError):
    """The lease expired or was revoked, and its keys are gone with it."""


class Compacted(EtcdError):
    """The revision that was asked for is not kept, any more or yet: list again."""


class StaleToken(EtcdRefused):
    """The log-in is not (or no longer) accepted: log in and repeat. Callers see it only when that did not help."""


class BadEtcdAddress(EtcdError, ConfigError):
    """The etcd URL cannot be used; the message shows the form that can. The configuration's fault."""


_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,  # the server's side went away in the middle
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,  # RST_STREAM, from proxies and members that stop
        grpc.StatusCode.UNKNOWN,
    }
)
_NOT_LOGGED_IN = ("invalid auth token", "auth store is old", "user name is empty")
_HAD_NO_EFFECT = ("no leader", "failed to connect", "too many requests")


def translate(error: grpc.aio.AioRpcError) -> EtcdError:
    """The error of our tree that says the same as this gRPC status."""
    code, text = error.code(), error.details() or ""
    if any(phrase in text for phrase in _NOT_LOGGED_IN) or code is grpc.StatusCode.UNAUTHENTICATED:
        return StaleToken(text, code=code.name)
    if "lease not found" in text:
        return LeaseNotFound(text)
    if "compacted" in text or "future revision" in text:
        return Compacted(text)
    if code in _TRANSIENT or "too many requests" in text:
        return EtcdUnavailable(f"{code.name}: {text}", sent=not any(phrase in text for phrase in _HAD_NO_EFFECT))
    return EtcdRefused(f"{code.name}: {text}", code=code.name)
