# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between us and Redis: one small tree, and which of it is worth another try.

Hides hiredis, redis-py and the socket from everybody else: their errors are translated here, at the border,
once. Whether a command may be tried again is a property of the error (`retry`), because by Law 2 it does not depend on
the command: every command of ours is idempotent, so one whose reply was lost is simply sent again.
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
        "LOADING",  # reads its data after a start
        "NOSCRIPT",  # SCRIPT FLUSH, or a failover to a server that never saw the script: loaded again, then repeated
        "READONLY",  # was a master a moment ago
        "MASTERDOWN",
        "UNBLOCKED",  # what a blocked reader hears when its master becomes a replica
        "NOREPLICAS",  # min-replicas-to-write is not met for now
        "BUSY",  # a script runs for too long
        "CLUSTERDOWN",
        "TRYAGAIN",  # a slot is on the move
        "MOVED",  # and has arrived; ours to follow, so a caller sees these two only when servers contradict each other
        "ASK",
    }
)
_OF_THE_SERVER = ("OOM", "MISCONF", "READONLY", "NOPERM", "NOREPLICAS", "MASTERDOWN", "BUSY", "CLUSTER")
_ELSEWHERE = frozenset({"MOVED", "ASK"})
_DEMOTED = frozenset({"READONLY", "MASTERDOWN", "UNBLOCKED"})
_NOT_ALLOWED = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


class LinkError(NervenetError):
    """Something between us and Redis. `retry` says whether the same command may succeed in a moment."""

    retry: bool = False

    @property
    def is_of_one_key(self) -> bool:
        """Whether it is about what stands under the keys of this command, and no other: it holds something else."""
        return False


class ConnectionLost(LinkError):
    """The connection broke or there is none. The command may have run or not: by Law 2 it is safe to send it again."""

    retry = True


class NotMaster(ConnectionLost):
    """The server at this address is a replica: writing to it would be writing to nobody. Look again in a moment."""


class LinkClosed(LinkError):
    """Our own side closed the link: a bug of ours if anybody sees it outside a shutdown."""


class LinkFull(LinkError):
    """More commands in flight than a link takes. The caller did not wait for `room()`; nothing was sent."""


class BadAddress(LinkError):
    """The Redis URL cannot be used; the message names the forms that can. The configuration's fault."""

    why: str = ""


class UnfitServer(LinkError):
    """The server is too old or of a kind that this link cannot use; the message says what it needs."""


class ClusterMember(UnfitServer):
    """The server belongs to a Redis Cluster: it has some of the keys only."""


class RedisRefused(LinkError):
    """Redis answered with an error: `code` is its first word (`NOGROUP`, `OOM`, `WRONGTYPE`, …)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]
        self.retry = self.code in _TEMPORARY

    @property
    def demoted(self) -> bool:
        """Whether the server says that it is no master (any more)."""
        return self.code in _DEMOTED

    @property
    def is_of_one_key(self) -> bool:
        if self.wrong_type:
            return True
        text = str(
            self
        )  # of a script that met fields of another form; before Redis 7, of a server's trouble inside one, too
        return self.code == "ERR" and "script" in text and not any(word in text for word in _OF_THE_SERVER)

    @property
    def wrong_type(self) -> bool:
        """Whether the key holds another type of value than the one that should stand there."""
        return self.code == "WRONGTYPE" or "WRONGTYPE" in str(self)

    @property
    def elsewhere(self) -> bool:
        """Whether a member of a cluster says that another one has the key: nothing was done."""
        return self.code in _ELSEWHERE

    @property
    def not_allowed(self) -> bool:
        """Whether it is about who we are: a missing or wrong password, or a user without the right."""
        return self.code in _NOT_ALLOWED


class Unreadable(LinkError):
    """What stands in Redis is not what should stand there: other bytes, or fields of another release. Nothing to repeat."""

    def __init__(self, where: str, why: object) -> None:
        super().__init__(f"{where} cannot be read: {why}")
        self.where = where

    @property
    def is_of_one_key(self) -> bool:
        return True


class AuthenticationFailed(LinkError):
    """Redis does not accept our user or password, or the user may not do what a link must. The configuration's fault."""
