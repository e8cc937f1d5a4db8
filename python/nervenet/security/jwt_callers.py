# SPDX-License-Identifier: Apache-2.0
"""Callers with a JWT of one issuer (RFC 7519, RFC 8725: JSON Web Token Best Current Practices).

    callers = JwtCallers(config)                 # ConfigError: the extra `security` is missing
    callers.caller("eyJ…")                       # Caller("user-7", "jwt", {all claims}); raises Unauthorized or Unavailable

A JWT is verified when it is first seen, and remembered by its hash until it ends: verifying costs tens of microseconds, a look-up two.
Only asymmetric signatures count: with `none` anybody signs, and with HS256 everybody who knows the public key. The algorithm must fit the key.
`exp`, `iss`, `aud` and `sub` must be there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import ConfigError
from nervenet.security.caller import Caller
from nervenet.security.issuer_keys import IssuerKeys, PublicKey
from nervenet.security.refusals import bad_token, expired
from nervenet.timing import JWT_LEEWAY

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["JwtCallers", "is_jwt"]

_ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By type of key."""
_ALL: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)
_LEAST_RSA_BITS: Final = 2048
_REMEMBERED: Final = 10_000
_PARTS: Final = 3


def is_jwt(token: str) -> bool:
    """Whether a token has the form of a signed JWT."""
    return token.startswith("eyJ") and token.count(".") == _PARTS - 1


@dataclass(frozen=True, slots=True)
class _JwtCaller(Caller):
    """A caller, with the key that signed for it."""

    key: PublicKey | None = None


class JwtCallers:
    """The callers of one server.

    Raises:
        ConfigError: The extra `security` is missing.
    """

    def __init__(self, config: Config, clock: Clock = SYSTEM) -> None:
        try:
            import cryptography  # noqa: F401  # without it PyJWT knows no asymmetric signature
            import jwt
        except ImportError:
            raise ConfigError(
                "NERVENET_JWT_ISSUER needs the extra `security`: pip install 'nervenet[security]'"
            ) from None
        assert config.jwt_issuer is not None
        assert config.jwt_audience is not None
        self._jwt: Any = jwt
        self._issuer, self._audience = config.jwt_issuer, config.jwt_audience
        self._keys = IssuerKeys(config.jwt_issuer, config.jwt_jwks, clock)
        self._clock = clock
        self._verified: dict[bytes, _JwtCaller] = {}
        """By the SHA-256 of the JWT."""
        self._ready: dict[tuple[str, str], tuple[PublicKey, Any]] = {}
        """Keys as PyJWT needs them, by their id and the algorithm: to make one costs more than to verify with it."""

    def __repr__(self) -> str:
        return f"<JwtCallers of {self._issuer}>"

    async def follow(self) -> None:
        """Read the issuer's keys repeatedly, without end."""
        await self._keys.follow()

    def caller(self, token: str) -> Caller:
        """The caller with this JWT. Whether it has ended is for the caller of this method to see.

        Raises:
            Unauthorized: It does not hold.
            Unavailable: The keys of the issuer are not known now.
        """
        digest = hashlib.sha256(token.encode()).digest()
        found = self._verified.get(digest)
        if found is None or found.key is None or not self._keys.has(found.key):
            found = self._verify(token)
            self._verified.pop(digest, None)
            if len(self._verified) >= _REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[digest] = found
        return found

    def recheck(self, caller: Caller) -> None:
        """Raise Unauthorized if the issuer no longer has the key that signed for this caller."""
        if isinstance(caller, _JwtCaller) and caller.key is not None and not self._keys.has(caller.key):
            raise expired("the issuer has withdrawn the key that signed the JWT")

    def _verify(self, token: str) -> _JwtCaller:
        jwt = self._jwt
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise bad_token("the token has the form of a JWT, and cannot be read as one") from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _ALL:
            raise bad_token("the JWT has no asymmetric signature: RS, PS, ES or EdDSA")
        if "crit" in header:
            raise bad_token("the JWT has critical headers (crit), which this process does not know")
        key = self._keys.find(header.get("kid"))
        claims = self._claims(token, key, algorithm)
        return _JwtCaller(claims["sub"], "jwt", claims, claims["exp"] + JWT_LEEWAY, key)

    def _public(self, key: PublicKey, algorithm: str) -> Any:
        known, public = self._ready.get((key.id, algorithm), (None, None))
        if known is not key:
            public = self._jwt.PyJWK(dict(key.jwk), algorithm=algorithm).key
            if key.jwk["kty"] == "RSA" and public.key_size < _LEAST_RSA_BITS:
                raise bad_token(f"the issuer's key is weaker than RSA with {_LEAST_RSA_BITS} bits")
            self._ready = {which: pair for which, pair in self._ready.items() if self._keys.has(pair[0])}
            self._ready[key.id, algorithm] = key, public
        return public

    def _claims(self, token: str, key: PublicKey, algorithm: str) -> dict[str, Any]:
        jwt = self._jwt
        if algorithm not in _ALGORITHMS[key.jwk["kty"]] or key.jwk.get("alg", algorithm) != algorithm:
            raise bad_token("the JWT is signed with another algorithm than its key is for")
        try:
            public = self._public(key, algorithm)
            claims: dict[str, Any] = jwt.decode(
                token,
                public,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=JWT_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            claims["exp"] = float(claims["exp"])
        except jwt.ExpiredSignatureError:
            raise expired("the JWT has expired: get a new one; if it is new, compare the clocks") from None
        except jwt.ImmatureSignatureError:
            raise bad_token("the JWT is not valid yet: compare the clocks of its issuer and of this process") from None
        except jwt.InvalidIssuerError:
            raise bad_token("the JWT is of another issuer than NERVENET_JWT_ISSUER says") from None
        except jwt.InvalidAudienceError:
            raise bad_token("the JWT is for another audience than NERVENET_JWT_AUDIENCE says") from None
        except jwt.MissingRequiredClaimError as error:
            raise bad_token(f"the JWT has no {error.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise bad_token("the JWT is not accepted: its signature or a claim does not hold") from None
        if not claims["sub"]:
            raise bad_token("the JWT has no sub")
        return claims
