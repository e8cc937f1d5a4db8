# SPDX-License-Identifier: Apache-2.0
"""Errors of Redis and etcd, translated for the person who starts a node or an agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nervenet.errors import ConfigError, NervenetError, Unavailable


@contextmanager
def in_words(who: str) -> Iterator[None]:
    """Raises ConfigError for servers that cannot be used, Unavailable for those that do not answer."""
    from nervenet.redis_link.faults import AuthenticationFailed, BadAddress, LinkError, UnfitServer
    from nervenet.registry.etcd import EtcdError

    try:
        yield
    except BaseException as found:
        error = _the_one(found)
        if isinstance(error, (BadAddress, AuthenticationFailed, UnfitServer)):
            raise ConfigError(f"{who} cannot use this Redis: {error}") from found
        if isinstance(error, LinkError):
            raise Unavailable(f"{who} needs Redis: {error}", code="UNAVAILABLE", reason="BACKEND_DOWN") from found
        if isinstance(error, EtcdError):
            raise Unavailable(f"{who} needs etcd: {error}", code="UNAVAILABLE", reason="BACKEND_DOWN") from found
        if isinstance(error, NervenetError) and error is not found:
            raise error from found
        raise


def _the_one(error: BaseException) -> BaseException:
    """The only error of a group of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
