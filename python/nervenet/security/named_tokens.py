# SPDX-License-Identifier: Apache-2.0
"""Tokens with names: a file of hashes, one table for each token (`nervenet tokens new` makes them).

    [ci]
    hash = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    roles = ["client"]
    namespaces = ["default"]                   # not there: all
    expires = 2027-06-30T00:00:00Z             # not there: never

    tokens = NamedTokens("tokens.toml")        # ConfigError: it cannot be read, or a row is wrong
    tokens.caller("nnt_…")                     # Caller("ci", "token", {"roles": […], …}); None: no row has this token

The hash is SHA-256, and the file is looked up by hash. Slow hashes such as bcrypt protect passwords, which people choose and others can
guess. A token of `nervenet tokens new` has 256 random bits: nobody can try them, however fast the hash is, and a slow one would cost
milliseconds of the event loop in each call. As only hashes are compared, the time of a look-up tells nothing about a token.

TOML, because Python reads it, because a row can be appended to the end of the file, and because a name that is there twice is an error.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import ConfigError
from nervenet.followed_file import FollowedFile
from nervenet.security.caller import Caller
from nervenet.security.refusals import expired, unreadable
from nervenet.timing import TOKEN_GRACE

__all__ = ["NamedTokens", "TokenRows", "hash_of", "new_token", "read_rows", "row_of"]

_LARGEST: Final = 4 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_NO_NAME: Final = "is no name: letters, digits, '.', '_', '@', '-', at most 63"
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_WORD: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,62}")
_FIELDS: Final = frozenset({"hash", "roles", "namespaces", "expires"})
_PREFIX: Final = "nnt_"
"""By which scanners for leaked secrets find a token."""

_log = logging.getLogger(__name__)


def new_token(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A token of 256 random bits."""
    import base64

    return _PREFIX + base64.urlsafe_b64encode(random_bytes(32)).decode().rstrip("=")


def hash_of(token: str) -> str:
    """The hash of a token as the file has it."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def row_of(name: str, hashed: str, roles: list[str], namespaces: list[str], expires: datetime | None) -> str:
    """A row for the file.

    Raises:
        ConfigError: Something in it cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(_NO_NAME)
    quoted = f'"{name}"' if "." in name or "@" in name else name
    lines = [f"[{quoted}]", f'hash = "{hashed}"', f"roles = {_listed(_words('roles', roles))}"]
    if namespaces:
        lines.append(f"namespaces = {_listed(_words('namespaces', namespaces))}")
    if expires is not None:
        lines.append(f"expires = {expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return "\n".join(lines) + "\n"


class TokenRows(NamedTuple):
    """What the file holds: callers by hash and by name, and what is wrong with the rows that do not count."""

    callers: Mapping[str, Caller]
    names: Mapping[str, Caller]
    wrong: tuple[str, ...]


def read_rows(file: str) -> TokenRows:
    """The rows of the file.

    Raises:
        ConfigError: It cannot be read, or is not TOML.
    """
    return _rows_of(_bytes_of(file), file)


def _bytes_of(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"tokens_file {file} cannot be read ({error.strerror or error})") from None
    if len(data) > _LARGEST:
        raise ConfigError(f"tokens_file {file} is larger than {_LARGEST:,} bytes")
    return data


def _rows_of(data: bytes, file: str) -> TokenRows:
    try:
        tables = tomllib.loads(data.decode())
    except ValueError as error:
        raise ConfigError(f"tokens_file {file} is not TOML: {_without_values(error)}") from None
    callers: dict[str, Caller] = {}
    wrong = []
    for name, table in tables.items():
        try:
            hashed, caller = _caller(name, table)
            if hashed in callers:
                raise ConfigError(f"has the same token as [{callers[hashed].subject}]: make one for each")
            callers[hashed] = caller
        except ConfigError as error:
            wrong.append(f"tokens_file {file}: [{name[:80]}] {error}")
    return TokenRows(callers, {caller.subject: caller for caller in callers.values()}, tuple(wrong))


class NamedTokens:
    """The tokens of a running server.

    Raises:
        ConfigError: The file cannot be read, or a row is wrong.
    """

    def __init__(self, file: str, clock: Clock = SYSTEM) -> None:
        self._rows = FollowedFile(
            f"tokens_file {file}",
            lambda: _bytes_of(file),
            lambda data: _rows_of(data, file),
            noun="token",
            keep=TOKEN_GRACE,
            readings=2,
            nothing="nobody is served",
            on_change=_tell_wrong_rows,
            clock=clock,
        )
        if self._rows.value and self._rows.value.wrong:
            raise ConfigError(self._rows.value.wrong[0])

    def __repr__(self) -> str:
        return f"<NamedTokens {'unreadable' if self._rows.value is None else len(self._rows.value.callers)}>"

    def caller(self, token: str) -> Caller | None:
        """The caller with this token. None: no row has it. Raises Unavailable where the file cannot be read."""
        rows = self._rows.value
        if rows is None:
            raise unreadable("tokens")
        return rows.callers.get(hash_of(token))

    def recheck(self, caller: Caller) -> None:
        """Raise RequestError if the row of a caller is no longer there, or is another one."""
        rows = self._rows.value
        if rows is None:
            raise unreadable("tokens")
        if rows.names.get(caller.subject) != caller:
            raise expired("the token was revoked, or what it may do has changed")

    async def follow(self) -> None:
        """Read the file repeatedly, without end."""
        await self._rows.follow()


def _tell_wrong_rows(rows: TokenRows) -> None:
    for line in rows.wrong:
        _log.error("%s; this token does not count", line)


def _caller(name: str, table: object) -> tuple[str, Caller]:
    if not _NAME.fullmatch(name):
        raise ConfigError(_NO_NAME)
    if not isinstance(table, dict):
        raise ConfigError(f'is no table: write [{name}], and below it hash = "sha256:…" and roles = ["client"]')
    if unknown := sorted(set(table) - _FIELDS):
        raise ConfigError(f"has {unknown[0][:80]!r}, which is not one of {', '.join(sorted(_FIELDS))}")
    hashed, expires = table.get("hash"), table.get("expires")
    if not isinstance(hashed, str) or not _HASH.fullmatch(hashed):
        raise ConfigError('needs hash = "sha256:" and 64 hexadecimal digits: `nervenet tokens new` prints the row')
    roles = _words("roles", table.get("roles"))
    claims: dict[str, Any] = {"roles": roles}
    if "namespaces" in table:
        claims["namespaces"] = _words("namespaces", table["namespaces"])
    if expires is not None and not (isinstance(expires, datetime) and expires.tzinfo is not None):
        raise ConfigError("has expires without a time and a zone: write it like 2027-06-30T00:00:00Z")
    return hashed, Caller(name, "token", claims, None if expires is None else expires.timestamp())


def _words(field: str, value: object) -> list[str]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(one, str) and _WORD.fullmatch(one) for one in value)
    ):
        raise ConfigError(f'needs {field}, a list of names: {field} = ["…"]')
    return value


def _listed(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def _without_values(error: ValueError) -> str:
    """Where the file is wrong: what else the message of the parser says may quote the file."""
    found = re.search(r"at line \d+, column \d+|at end of document", str(error))
    return found[0] if found else type(error).__name__
