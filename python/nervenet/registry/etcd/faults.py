# SPDX-License-Identifier: Apache-2.0
"""The errors of etcd: gRPC statuses become one of these.

A caller must know whether a failed write may have happened. `EtcdUnavailable.sent` is true if it may have, or if this
is not known.
"""

from __future__ import annotations

from nervenet.errors import ConfigError, NervenetError
from nervenet.grpc_import import grpc


class EtcdError(NervenetError):
    """An error of the connection to etcd, or of etcd."""


class EtcdUnavailable(EtcdError, ConnectionError):
    """No member answered in time. `sent` is false if the request certainly had no effect."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class EtcdRefused(EtcdError):
    """etcd refused: a wrong password, no permission, no space left. Retrying does not help; the operator must act."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class LeaseNotFound(EtcdError):
    """The lease has expired or was revoked; its keys are deleted."""


class Compacted(EtcdError):
    """The requested revision is too old or in the future: list again."""


class StaleToken(EtcdRefused):
    """The login is not accepted, or no longer. The client logs in and repeats; callers see it only if that fails."""


class BadEtcdAddress(EtcdError, ConfigError):
    """The etcd URL cannot be used. The message has the valid form: correct the configuration."""


_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,  # the server closed the connection
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,  # RST_STREAM, from proxies and members that stop
        grpc.StatusCode.UNKNOWN,
    }
)
_NOT_LOGGED_IN = ("invalid auth token", "auth store is old", "user name is empty")
_HAD_NO_EFFECT = ("no leader", "failed to connect", "too many requests")


def translate(error: grpc.aio.AioRpcError) -> EtcdError:
    """The error for a gRPC status."""
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
