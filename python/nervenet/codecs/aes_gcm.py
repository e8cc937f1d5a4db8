# SPDX-License-Identifier: Apache-2.0
"""AES-256-GCM. `data` is a nonce of 12 random bytes, the ciphertext and the tag of 16 bytes; the parameter is `key=<key id>`.

The associated data binds content type, codec and key id, so neither can be exchanged. It does not bind the place: a value
moves from a child's result to its parent's step, and a client encrypts before the workflow exists. Who may write to Redis can
therefore put one encrypted value in the place of another one.

Random nonces limit a key to 2^32 values (NIST SP 800-38D, 8.3). Rejected: AES-GCM-SIV, which has no such limit, but is
missing in the standard libraries of Go, Java and Node.js.

Digests are HMAC-SHA-256 under a key that is derived from the encryption key, so that no key serves two purposes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Sequence
from typing import Final

from nervenet.codecs.keys import Key, followed_keys, parse_keys
from nervenet.codecs.layout import CONTENT_TYPE, CodecError
from nervenet.errors import ConfigError
from nervenet.followed_file import FollowedFile

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_DERIVE: Final = b"nervenet digest"
_ENCODING: Final = re.compile(rb"\x3a([\x0d-\x7f])aes-gcm;key=", re.DOTALL)
"""Field 7 of a `Payload`, its length, and what its text begins with."""
_NAMED: Final = len("aes-gcm;key=")


class AesGcm:
    """See the module. `source` is the path of a key file, or `env:NAME`."""

    name = "aes-gcm"

    def __init__(self, source: str, entropy: Callable[[int], bytes] = os.urandom) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ConfigError(
                "codec: aes-gcm needs the extra nervenet[security]: pip install 'nervenet[security]'"
            ) from None
        self._cipher, self._invalid, self._entropy, self._source = AESGCM, InvalidTag, entropy, source
        self._ciphers: dict[str, AESGCM] = {}
        self._digest_keys: tuple[bytes, ...] = ()
        self.file: FollowedFile[str, tuple[Key, ...]] | None = None
        """The file of the keys. None: they are in a variable."""
        if source.startswith("env:"):
            name = source[4:]
            if not os.environ.get(name):
                raise ConfigError(f"codec: the variable {name} is not set: put the keys into it, as <key id>:<base64>")
            self._use(parse_keys(os.environ[name], name))
        else:
            self.file = followed_keys(source, self._use)
            assert self.file.value is not None  # the last good keys always count
            self._use(self.file.value)

    def __repr__(self) -> str:
        return f"<AesGcm {', '.join(self._ciphers)}>"

    def _use(self, keys: tuple[Key, ...]) -> None:
        self._ciphers = {key.id: self._cipher(key.secret) for key in keys}
        self._digest_keys = tuple(hmac.digest(key.secret, _DERIVE, hashlib.sha256) for key in keys)
        newest = f"key={keys[0].id}"
        self._write = newest, self._ciphers[keys[0].id], _aad(newest)

    def encode(self, data: bytes) -> tuple[str, bytes]:
        """The parameters and the encrypted bytes."""
        nonce = self._entropy(NONCE_BYTES)
        parameters, cipher, aad = self._write
        return parameters, nonce + cipher.encrypt(nonce, data, aad)

    def decode(self, parameters: str, data: bytes) -> bytes:
        """The bytes that were encrypted. Raises CodecError."""
        key_id = parameters.removeprefix("key=")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            known = ", ".join(self._ciphers)
            raise CodecError(
                f"it is encrypted with the key id {key_id}, which {self._source} of NERVENET_CODEC does not have (it has "
                f"{known}): add that key there"
            )
        try:
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _aad(parameters))
        except (self._invalid, ValueError):
            raise CodecError(
                f"it does not decrypt with the key id {key_id}: it was changed, or another key has this id in "
                f"{self._source} of NERVENET_CODEC"
            ) from None

    def knows_keys_in(self, data: bytes) -> bool:
        """Whether the keys of all encoded payloads within these serialized messages are known."""
        return all(
            data[found.end() : found.end() + found[1][0] - _NAMED].decode(errors="replace") in self._ciphers
            for found in _ENCODING.finditer(data)
        )

    def digests(self, data: bytes) -> Sequence[bytes]:
        """HMAC-SHA-256 of some bytes under each key, in their order."""
        return [hmac.digest(key, data, hashlib.sha256) for key in self._digest_keys]


def _aad(parameters: str) -> bytes:
    return f"{CONTENT_TYPE}\naes-gcm;{parameters}".encode()
