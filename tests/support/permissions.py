# SPDX-License-Identifier: Apache-2.0
"""Users of Redis with the least permissions, one for each kind of process and namespace, on servers that the whole test run shares.

Every mesh of processes on such a server runs with them: nodes as `node`, agents as `agent` and what else they use. At the end the server's own log must
not name a command or a key that one of them was refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis

from nervenet.streams.permissions import RedisRole, rules_of

_SHARED: set[str] = set()
"""URLs of servers with such users. Servers that a test restarts have none: they would forget them."""
PASSWORD = "least"


@contextmanager
def nothing_is_refused(url: str) -> Iterator[None]:
    """Until the block ends, meshes on this server get users of their own.

    Raises:
        AssertionError: at the end, if the server refused one of them something.
    """
    _SHARED.add(url)
    try:
        yield
    finally:
        _SHARED.discard(url)
    refused = refusals(url)
    assert not refused, f"the permissions lack: {refused}"


def user_of(url: str, role: RedisRole | Sequence[RedisRole], *namespaces: str) -> str:
    """The URL for a process of this kind. Servers that are not shared are used without a user."""
    return make_user(url, role, *namespaces) if url in _SHARED else url


def make_user(url: str, role: RedisRole | Sequence[RedisRole], *namespaces: str) -> str:
    """Make the user, with one role or several; the URL with its name and password."""
    roles: Sequence[RedisRole] = [role] if isinstance(role, str) else role
    name = f"{'+'.join(roles)}-{namespaces[0]}"
    with redis.Redis.from_url(url) as store:
        store.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules_of(roles, *namespaces))
    parts = urlsplit(url)
    return parts._replace(netloc=f"{name}:{PASSWORD}@{parts.netloc}").geturl()


def refusals(url: str) -> set[tuple[str, str, str]]:
    """(kind of user, why, object) of everything that the server refused since it started. Not counted: logins with a wrong
    password, which tests try, and how redis-py introduces itself, with which tests look at keys."""
    with redis.Redis.from_url(url, decode_responses=True) as store:
        rows: Any = store.execute_command("ACL", "LOG")
    facts = [row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True)) for row in rows]
    found = {(fact["username"].partition("-")[0], fact["reason"], fact["object"]) for fact in facts}
    return {refusal for refusal in found if refusal[1] != "auth" and refusal[2] != "client|setinfo"}
