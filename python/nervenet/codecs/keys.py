# SPDX-License-Identifier: Apache-2.0
"""The keys of `aes-gcm`, from a file or an environment variable.

    # the first key writes, every key reads
    2026-11 mZPS…=
    2026-05 q83v…=

A line has a key id and 32 bytes as base64, with a space or a colon between them; commas separate lines too, as a variable
needs. The file is read again when it changes, at most once a second: keys are rotated without a restart. A changed file that
cannot be used is in the log, and the keys that are known stay in use. Nothing is read while a value is encoded or decoded.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from nervenet.errors import ConfigError, detail
from nervenet.followed_file import FollowedFile

KEY_BYTES: Final = 32
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


def followed_keys(path: str, on_change: Callable[[tuple[Key, ...]], None]) -> FollowedFile[str, tuple[Key, ...]]:
    """The keys of a file, which is read again when it changes.

    Raises:
        ConfigError: It cannot be used now. Later the keys that are known stay in use.
    """

    def changed(keys: tuple[Key, ...]) -> None:
        on_change(keys)
        _log.info("codec: the keys in %s have changed and are in use", path)

    return FollowedFile(
        f"codec: the key file {path}",
        lambda: _text_of(path),
        lambda text: parse_keys(text, path),
        noun="keys",
        on_change=changed,
    )


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"codec: the key file {path} cannot be read: {error.strerror or detail(error)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"codec: the key file {path} cannot be read: {detail(error)}") from None
