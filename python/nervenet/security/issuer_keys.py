# SPDX-License-Identifier: Apache-2.0
"""The public keys of an issuer of JWTs, read in the background and kept (RFC 7517; OpenID Connect Discovery 1.0).

    keys = IssuerKeys("https://login.example.com", None)     # reads nothing yet
    await keys.follow()                                      # without end
    keys.find("2026-05")                                     # the key as a JWK; raises Unauthorized or Unavailable

A key that is not known makes the keys be read again, at most every `JWKS_LOOK_AGAIN` seconds; until they have been read, its callers are told to
call again. While the issuer does not answer, the last keys count for `JWKS_GRACE` seconds, then no JWT does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from nervenet.clock import SYSTEM, Clock
from nervenet.config import is_loopback
from nervenet.security.refusals import bad_token, keys_unknown
from nervenet.timing import JWKS_GRACE, JWKS_LOOK_AGAIN, JWKS_LOOK_EVERY, JWKS_READ_WITHIN

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

__all__ = ["CannotRead", "IssuerKeys", "PublicKey", "read_keys"]

_LARGEST: Final = 1 << 20
_MOST_UNKNOWN: Final = 256
"""Ids of unknown keys that are remembered. A caller that invents more makes older ones be asked for once more."""
_LOG_EVERY: Final = 60.0

_log = logging.getLogger(__name__)


class CannotRead(Exception):
    """The keys cannot be read now; the message says why."""


class PublicKey(NamedTuple):
    """One key of an issuer."""

    id: str
    jwk: Mapping[str, Any]


class IssuerKeys:
    """The keys of one issuer.

    Args:
        issuer: Its URL, as the claim `iss` has it.
        url: Where its keys are. None: where `/.well-known/openid-configuration` says.
        clock: Of the grace.
    """

    def __init__(self, issuer: str, url: str | None, clock: Clock = SYSTEM) -> None:
        self._issuer = issuer
        self._url = url
        self._clock = clock
        self._keys: Mapping[str, PublicKey] = {}
        self._began = float("-inf")
        """When the last reading that succeeded began."""
        self._why = "they have not been read yet"
        self._unknown: dict[str, float] = {}
        """Ids of keys that are not there, each with the time when it was first asked for."""
        self._wanted = asyncio.Event()
        self._logged_at = float("-inf")

    def __repr__(self) -> str:
        return f"<IssuerKeys {self._issuer} {len(self._keys)}>"

    def find(self, key_id: str | None) -> PublicKey:
        """The key with this id; None asks for the only one.

        Raises:
            Unauthorized: The issuer has no such key.
            Unavailable: The keys are not known, or must be read again first.
        """
        now = self._clock.monotonic()
        if now - self._began > JWKS_GRACE:
            raise keys_unknown(f"the keys of {self._issuer} are not known here: {self._why}", JWKS_LOOK_AGAIN)
        if key_id is None:
            if len(self._keys) == 1:
                return next(iter(self._keys.values()))
            raise bad_token("the JWT does not say which key signed it (kid), and its issuer has several")
        if (key := self._keys.get(key_id)) is not None:
            return key
        if self._began > self._asked_for(key_id, now):
            raise bad_token("the JWT is signed with a key that its issuer does not have")
        self._wanted.set()
        raise keys_unknown(f"the JWT has a new key, and the keys of {self._issuer} are being read again", 1.0)

    def has(self, key: PublicKey) -> bool:
        """Whether the issuer still has this key."""
        found = self._keys.get(key.id)
        return found is key or found == key

    def _asked_for(self, key_id: str, now: float) -> float:
        if len(self._unknown) >= _MOST_UNKNOWN and key_id not in self._unknown:
            del self._unknown[next(iter(self._unknown))]
        return self._unknown.setdefault(key_id, now)

    async def follow(self) -> None:
        """Read the keys repeatedly, without end."""
        while True:
            read = await self.look()
            await asyncio.sleep(JWKS_LOOK_AGAIN)
            if read:
                try:
                    async with asyncio.timeout(JWKS_LOOK_EVERY - JWKS_LOOK_AGAIN):
                        await self._wanted.wait()
                except TimeoutError:
                    pass

    async def look(self) -> bool:
        """Read the keys once; returns whether they could be read."""
        self._wanted.clear()
        began = self._clock.monotonic()
        try:
            keys = await asyncio.to_thread(read_keys, self._issuer, self._url)
        except Exception as error:  # noqa: BLE001  # any error: what cannot be read lets nobody in, and is read again
            self._why = str(error)
            if began - self._logged_at >= _LOG_EVERY:
                self._logged_at = began
                _log.error("%s; %s", error, self._until(began))
            return False
        if self._logged_at > self._began:
            _log.warning("the keys of %s can be read again", self._issuer)
        same = {key_id: old for key_id, old in self._keys.items() if keys.get(key_id) == old}
        self._keys, self._began = {**keys, **same}, began
        self._unknown = {key_id: asked for key_id, asked in self._unknown.items() if key_id not in keys}
        return True

    def _until(self, now: float) -> str:
        left = JWKS_GRACE - (now - self._began)
        return f"the last ones count for another {left:.0f} s" if left > 0 else "until then no JWT is accepted"


def read_keys(issuer: str, url: str | None) -> dict[str, PublicKey]:
    """The keys of an issuer that can check signatures, by their id. It blocks.

    Raises:
        CannotRead: They cannot be read, or there is none.
    """
    if url is None:
        where = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        found = _read_json(where)
        if found.get("issuer") != issuer:
            raise CannotRead(
                f"{where} is the configuration of another issuer: NERVENET_JWT_ISSUER must be what it has as `issuer`"
            )
        url = found.get("jwks_uri")
        if not isinstance(url, str) or not _is_safe(url):
            raise CannotRead(f"{where} has no jwks_uri with https")
    listed = _read_json(url).get("keys")
    jwks = [key for key in listed if _can_verify(key)] if isinstance(listed, list) else []
    if not jwks:
        raise CannotRead(f"{url} has no public key that checks signatures")
    return {key_id: PublicKey(key_id, jwk) for jwk in jwks if isinstance(key_id := jwk.get("kid", ""), str)}


def _can_verify(key: object) -> bool:
    return isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"


def _opener() -> OpenerDirector:
    """One that follows no redirect: another address than the configured one must not decide whose signatures count."""
    from urllib.request import HTTPRedirectHandler, build_opener  # 10 ms, for those who have an issuer

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return build_opener(NoRedirects)


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _read_json(url: str) -> dict[str, Any]:
    ends = time.monotonic() + JWKS_READ_WITHIN
    data = b""
    try:
        opener = _opener()
        opener.addheaders = [("Accept", "application/json"), ("User-Agent", "nervenet")]
        with opener.open(url, timeout=JWKS_READ_WITHIN) as answer:
            while part := answer.read1(65_536):
                data += part
                if len(data) > _LARGEST or time.monotonic() > ends:
                    raise CannotRead(f"{url} sends too much, or too slowly")
        found = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise CannotRead(f"{url} cannot be read: {why}") from None
    if not isinstance(found, dict):
        raise CannotRead(f"{url} has no JSON object")
    return found
