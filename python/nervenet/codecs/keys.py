# SPDX-License-Identifier: Apache-2.0
"""The keys of `aes-gcm`, from a file or an environment variable.

    # the first key writes, every key reads
    2026-11 mZPS…=
    2026-05 q83v…=

A line has a key id and 32 bytes as base64, with a space or a colon between them; commas separate lines too, as a variable
needs. The file is read again when it changes, at most once a second: keys are rotated
without a restart. A changed file that cannot be read is reported once, and the keys that are known stay in use.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from nervenet.clock import SYSTEM
from nervenet.errors import ConfigError, detail

KEY_BYTES: Final = 32
LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the file."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SEPARATOR: Final = re.compile(r"[\n,]")

_log = logging.getLogger("nervenet.codecs")


class Key(NamedTuple):
    """A key with its id."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"<Key {self.id}>"


def parse_keys(text: str, source: str) -> tuple[Key, ...]:
    """The keys of a file or a variable, in their order.

    Raises:
        ConfigError: A line cannot be used. The message has its number and no part of a key.
    """
    found: dict[str, Key] = {}
    for number, line in enumerate(_SEPARATOR.split(text), 1):
        words = line.partition("#")[0].replace(":", " ").split()
        if not words:
            continue
        where = f"codec: line {number} of {source}"
        if len(words) != 2 or not _ID.fullmatch(words[0]):
            raise ConfigError(f"{where} must have a key id (letters, digits and ._-, at most 64) and a key in base64")
        if words[0] in found:
            raise ConfigError(f"{where} has the key id {words[0]} a second time")
        found[words[0]] = Key(words[0], _secret(words[1], where))
    if not found:
        raise ConfigError(f'codec: {source} has no key. Make one: echo "2026-11 $(openssl rand -base64 32)"')
    return tuple(found.values())


def _secret(text: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{where}: the key is not base64. Make one: openssl rand -base64 32") from None
    if len(secret) != KEY_BYTES:
        raise ConfigError(
            f"{where}: the key has {len(secret)} bytes, but {KEY_BYTES} are needed: openssl rand -base64 32"
        )
    return secret


class KeyFile:
    """The keys of a file, as they are now."""

    def __init__(self, path: str, changed: Callable[[tuple[Key, ...]], None]) -> None:
        self._path = Path(path)
        self._changed = changed
        self._seen: tuple[int, ...] = ()
        self._next_look = 0.0
        self._stamp()
        changed(self._read())

    def look(self, *, at_once: bool = False) -> None:
        """Read the file again if it has changed; `at_once` for an unknown key, which may be in it by now."""
        now = SYSTEM.monotonic()
        if now < self._next_look and not at_once:
            return
        self._next_look = now + LOOK_EVERY
        try:
            if self._stamp():
                self._changed(self._read())
                _log.info("codec: the keys in %s have changed and are in use", self._path)
        except (ConfigError, OSError) as error:
            _log.error(
                "codec: the keys in %s have changed and cannot be used, the known ones stay: %s",
                self._path,
                detail(error),
            )

    def _stamp(self) -> bool:
        try:
            found = self._path.stat()
        except OSError as error:
            if not self._seen:
                raise ConfigError(f"codec: the key file {self._path} cannot be read: {error.strerror}") from None
            raise
        seen, self._seen = self._seen, (found.st_mtime_ns, found.st_size, found.st_ino)
        return seen != self._seen

    def _read(self) -> tuple[Key, ...]:
        try:
            return parse_keys(self._path.read_text(encoding="utf-8"), str(self._path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"codec: the key file {self._path} cannot be read: {detail(error)}") from None
