# SPDX-License-Identifier: Apache-2.0
"""The errors of a link: one small tree, and which of them are worth another try.

It hides the errors of hiredis, redis-py and the socket: they become one of these. Whether a command may be sent again
is a property of the error (`retry`), not of the command, because every command of the data plane is idempotent (law 2).
"""

from __future__ import annotations

from nervenet.errors import NervenetError

__all__ = [
    "AuthenticationFailed",
    "BadAddress",
    "ClusterMember",
    "ConnectionLost",
    "LinkClosed",
    "LinkError",
    "LinkFull",
    "NotMaster",
    "RedisRefused",
    "UnfitServer",
    "Unreadable",
]

_TEMPORARY = frozenset(
    {
        "LOADING",  # it reads its data after a start
        "NOSCRIPT",  # after SCRIPT FLUSH or a failover: the link loads the script and repeats the command
        "READONLY",  # it was a master a moment ago
        "MASTERDOWN",
        "UNBLOCKED",  # the reply to a blocked read when its master becomes a replica
        "NOREPLICAS",  # fewer replicas than min-replicas-to-write, for now
        "BUSY",  # a script runs for too long
        "CLUSTERDOWN",
        "TRYAGAIN",  # a slot is being moved
        "MOVED",  # the slot has moved. The link follows MOVED and ASK; callers see them if servers contradict each other
        "ASK",
    }
)
_OF_THE_SERVER = ("OOM", "MISCONF", "READONLY", "NOPERM", "NOREPLICAS", "MASTERDOWN", "BUSY", "CLUSTER")
_REDIRECTS = frozenset({"MOVED", "ASK"})
_DEMOTED = frozenset({"READONLY", "MASTERDOWN", "UNBLOCKED"})
_NOT_ALLOWED = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


class LinkError(NervenetError):
    """An error of the link or of Redis. `retry`: whether the same command may succeed in a moment."""

    retry: bool = False

    @property
    def is_of_one_key(self) -> bool:
        """Whether only the keys of this command are affected, because they hold other data than expected."""
        return False


class ConnectionLost(LinkError):
    """The connection broke, or there is none. The command may have run or not; sending it again is safe (law 2)."""

    retry = True


class NotMaster(ConnectionLost):
    """The server at this address is a replica, so writes to it would be lost. It may be a master again in a moment."""


class LinkClosed(LinkError):
    """This process has closed the link. Outside a shutdown it is a bug."""


class LinkFull(LinkError):
    """Too many commands are in flight, and the command was not sent. Await `room()` before `send`."""


class BadAddress(LinkError):
    """The Redis URL cannot be used. The message has the valid forms: correct the configuration."""

    why: str = ""


class UnfitServer(LinkError):
    """The server is too old, or of a kind that the link cannot use. The message has what it needs."""


class ClusterMember(UnfitServer):
    """The server is a member of a Redis Cluster, so it has only some of the keys."""


class RedisRefused(LinkError):
    """Redis replied with an error. `code` is its first word (`NOGROUP`, `OOM`, `WRONGTYPE`, …)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]
        self.retry = self.code in _TEMPORARY

    @property
    def demoted(self) -> bool:
        """Whether the server is no master, or no longer one."""
        return self.code in _DEMOTED

    @property
    def is_of_one_key(self) -> bool:
        if self.wrong_type:
            return True
        # A script fails like this on fields of another form. Before Redis 7 it also fails so when the server has a problem.
        text = str(self)
        return self.code == "ERR" and "script" in text and not any(word in text for word in _OF_THE_SERVER)

    @property
    def wrong_type(self) -> bool:
        """Whether the key holds another type of value than the command expects."""
        return self.code == "WRONGTYPE" or "WRONGTYPE" in str(self)

    @property
    def is_redirect(self) -> bool:
        """Whether another member of the cluster has the key. The command had no effect."""
        return self.code in _REDIRECTS

    @property
    def not_allowed(self) -> bool:
        """Whether Redis does not accept the login: no password, a wrong one, or a user without the permission."""
        return self.code in _NOT_ALLOWED


class Unreadable(LinkError):
    """A key holds other data than expected: other bytes, or fields of another release. Retrying does not help."""

    def __init__(self, where: str, why: object) -> None:
        super().__init__(f"{where} cannot be read: {why}")
        self.where = where

    @property
    def is_of_one_key(self) -> bool:
        return True


class AuthenticationFailed(LinkError):
    """Redis rejects the user or password, or the user lacks a permission that a link needs. Correct the
    configuration."""
