# SPDX-License-Identifier: Apache-2.0
"""Callers with a JWT, over gRPC and HTTP, with an issuer that serves its keys: which ones are known, and how the others are refused."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nervenet.clock import Clock
from nervenet.config import Config
from nervenet.errors import ConfigError, RequestError
from nervenet.security.issuer_keys import CannotRead, IssuerKeys, read_keys
from nervenet.timing import JWKS_GRACE, JWKS_LOOK_AGAIN, JWT_LEEWAY
from tests.security.serving import Serving
from tests.support.issuer import AUDIENCE, Issuer, issuing, rsa_key

BAD, EXPIRED, NO_KEYS = (
    "UNAUTHENTICATED BAD_TOKEN",
    "UNAUTHENTICATED CREDENTIALS_EXPIRED",
    "UNAVAILABLE KEYS_UNAVAILABLE",
)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as made:
        yield made


def trusting(issuer: Issuer, **settings: Any) -> Serving:
    return Serving(jwt_issuer=issuer.url, jwt_audience=AUDIENCE, **settings)


def unsigned(issuer: Issuer, alg: str) -> str:
    """A token that anybody can make: with the algorithm `none`, in several spellings."""
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "root", "exp": time.time() + 300}
    parts = [{"alg": alg, "typ": "JWT", "kid": "first"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def signed_with_the_public_key(issuer: Issuer) -> str:
    """HS256, with the issuer's public key as the secret: known to all."""
    head = (
        base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "first"}).encode())
        .decode()
        .rstrip("=")
    )
    body = unsigned(issuer, "HS256").split(".")[1]
    import hashlib
    import hmac

    mac = hmac.new(issuer.public_pem(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def tampered(issuer: Issuer) -> str:
    head, body, signature = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "root"}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


def with_a_key_of_ones_own(issuer: Issuer) -> str:
    """Signed by somebody else under the id of the issuer's key."""
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "root", "exp": time.time() + 300}
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "first"})


def encoded(head: str, body: str = "{}") -> str:
    """Any text in the place of a JWT's header and claims."""
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in (head, body, "signature"))


REFUSED: dict[str, tuple[Callable[[Issuer], str | None], str]] = {
    "none": (lambda issuer: None, BAD),
    "garbage": (lambda issuer: "garbage", BAD),
    "garbage in the form of a JWT": (lambda issuer: "eyJh.eyJi.c2ln", BAD),
    "alg none": (lambda issuer: unsigned(issuer, "none"), BAD),
    "alg None": (lambda issuer: unsigned(issuer, "None"), BAD),
    "HS256 with the public key": (signed_with_the_public_key, BAD),
    "an algorithm that is a list": (lambda issuer: encoded('{"alg": ["ES256"], "kid": "first"}'), BAD),
    "a key id that is a number": (lambda issuer: encoded('{"alg": "ES256", "kid": 7}'), BAD),
    "no key id and a bad signature": (lambda issuer: encoded('{"alg": "ES256"}'), BAD),
    "a header that is no object": (lambda issuer: "eyJ" + encoded("[1]"), BAD),
    "a header that is deep": (lambda issuer: encoded('{"a":' + "[" * 2500), BAD),
    "claims that are deep": (lambda issuer: encoded('{"alg": "ES256", "kid": "first"}', "[" * 2500), BAD),
    "critical headers": (
        lambda issuer: encoded('{"alg": "ES256", "kid": "first", "crit": ["b64"], "b64": false}'),
        BAD,
    ),
    "an end beyond numbers": (lambda issuer: issuer.token(exp=10**400), BAD),
    "tampered": (tampered, BAD),
    "another key": (with_a_key_of_ones_own, BAD),
    "wrong issuer": (lambda issuer: issuer.token(iss="https://login.example.com"), BAD),
    "no issuer": (lambda issuer: issuer.token(iss=None), BAD),
    "wrong audience": (lambda issuer: issuer.token(aud="another-service"), BAD),
    "wrong audiences": (lambda issuer: issuer.token(aud=["a", "b"]), BAD),
    "no audience": (lambda issuer: issuer.token(aud=None), BAD),
    "no end": (lambda issuer: issuer.token(exp=None), BAD),
    "no subject": (lambda issuer: issuer.token(sub=None), BAD),
    "an empty subject": (lambda issuer: issuer.token(sub=""), BAD),
    "the end is no number": (lambda issuer: issuer.token(exp="soon"), BAD),
    "expired": (lambda issuer: issuer.token(lasts=-JWT_LEEWAY - 5), EXPIRED),
    "not yet": (lambda issuer: issuer.token(nbf=time.time() + JWT_LEEWAY + 60), BAD),
    "issued in the future": (lambda issuer: issuer.token(iat=time.time() + JWT_LEEWAY + 60), BAD),
}


async def test_whoever_has_no_good_jwt_is_refused(issuer: Issuer) -> None:
    async with trusting(issuer) as serving:
        await serving.until(issuer.token(), "OK")
        served = len(serving.servicer.served)
        found = {name: await serving.over_both(make(issuer)) for name, (make, _) in REFUSED.items()}
        assert found == {name: wanted for name, (_, wanted) in REFUSED.items()}
        assert len(serving.servicer.served) == served


GOOD: dict[str, Callable[[Issuer], str]] = {
    "a user": lambda issuer: issuer.token(),
    "several audiences": lambda issuer: issuer.token(aud=["another", AUDIENCE]),
    "a clock that is ahead": lambda issuer: issuer.token(iat=time.time() + 10, nbf=time.time() + 10),
    "a clock that is behind": lambda issuer: issuer.token(lasts=-JWT_LEEWAY / 2),
    "a key without an algorithm": lambda issuer: issuer.token(key_id="rsa", alg="PS384"),
    "RSA": lambda issuer: issuer.token(key_id="rsa", alg="RS256"),
    "Ed25519": lambda issuer: issuer.token(key_id="ed"),
}


async def test_a_good_jwt_names_its_caller(issuer: Issuer) -> None:
    issuer.add("rsa", rsa_key())
    issuer.add("ed", ed25519.Ed25519PrivateKey.generate())
    issuer.current = "first"
    async with trusting(issuer) as serving:
        await serving.until(issuer.token(), "OK")
        assert {name: await serving.over_both(make(issuer)) for name, make in GOOD.items()} == dict.fromkeys(GOOD, "OK")
        serving.servicer.served.clear()
        assert await serving.over_grpc(issuer.token(sub="alice", groups=["ops"])) == "OK"
        (caller,) = serving.servicer.served
        assert (caller.subject, caller.means, caller.claims["groups"]) == ("alice", "jwt", ["ops"])
        assert caller.expires == pytest.approx(caller.claims["exp"] + JWT_LEEWAY)


async def test_keys_that_cannot_sign_safely_do_not_count(issuer: Issuer) -> None:
    issuer.add("weak", rsa_key(1024))
    issuer.extra = [{"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"}]
    es = issuer.add("es")
    async with trusting(issuer) as serving:
        await serving.until(issuer.token(), "OK")
        assert await serving.over_grpc(issuer.token(key_id="weak", alg="RS256")) == BAD
        secret = jwt.encode(
            {"iss": issuer.url, "aud": AUDIENCE, "sub": "root", "exp": time.time() + 300},
            b"secret-secret-secret-secret-secret",
            algorithm="HS256",
            headers={"kid": "symmetric"},
        )
        assert await serving.over_grpc(secret) == BAD
        with_rsa = jwt.encode({"sub": "root"}, rsa_key(), algorithm="RS256", headers={"kid": "es"})
        assert es is not None
        assert await serving.over_grpc(with_rsa) == BAD


async def test_keys_are_rotated_under_a_running_server(issuer: Issuer) -> None:
    async with trusting(issuer) as serving:
        old = issuer.token()
        await serving.until(old, "OK")
        issuer.add("second")
        new = issuer.token()
        assert await serving.over_grpc(new) == NO_KEYS, "it is told to call again, while the keys are read"
        await serving.until(new, "OK")
        assert await serving.over_both(old) == "OK"
        del issuer.keys["first"]
        issuer.add("third")
        await serving.until(issuer.token(), "OK")
        await serving.until(old, BAD)  # its key was withdrawn


async def test_a_key_that_the_issuer_does_not_have_is_refused_and_asks_the_issuer_seldom(issuer: Issuer) -> None:
    stranger = jwt.encode(
        {"sub": "x"}, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "?"}
    )
    async with trusting(issuer) as serving:
        await serving.until(issuer.token(), "OK")
        began, reads = time.monotonic(), issuer.reads
        await serving.until(stranger, BAD)
        for n in range(50):
            made = jwt.encode(
                {"sub": "x"}, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": f"{n}"}
            )
            assert await serving.over_grpc(made) == NO_KEYS
        assert issuer.reads - reads <= 2 * (2 + (time.monotonic() - began) / JWKS_LOOK_AGAIN)


async def test_while_the_issuer_is_down_at_the_start_no_jwt_is_accepted_and_the_server_says_why(issuer: Issuer) -> None:
    issuer.down = True
    async with trusting(issuer) as serving:
        await serving.until(issuer.token(), NO_KEYS)
        assert await serving.over_both(None) == BAD
        issuer.down = False
        await serving.until(issuer.token(), "OK")
        issuer.down = True
        assert await serving.over_both(issuer.token(sub="another")) == "OK", "the keys are known"


class Hand(Clock):
    """A clock that is moved by hand."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


async def test_keys_count_for_an_hour_after_the_issuer_has_gone(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Hand()
    keys = IssuerKeys(issuer.url, None, clock)
    assert await keys.look()
    issuer.down = True
    clock.now += JWKS_GRACE - 1
    assert not await keys.look()
    assert keys.find("first").id == "first"
    assert "503" in caplog.text
    clock.now += 2
    with pytest.raises(RequestError, match=r"are not known here: .*503") as refused:
        keys.find("first")
    assert refused.value.reason == "KEYS_UNAVAILABLE"
    assert refused.value.retry_after is not None
    issuer.down = False
    assert await keys.look()
    assert keys.find("first").id == "first"


def test_an_issuer_is_read_only_as_it_was_configured(issuer: Issuer) -> None:
    assert set(read_keys(issuer.url, None)) == {"first"}
    assert set(read_keys("https://login.example.com", f"{issuer.url}/keys")) == {"first"}
    with pytest.raises(CannotRead, match="another issuer"):
        read_keys(f"{issuer.url}/", None)
    with pytest.raises(CannotRead, match="404"):
        read_keys(issuer.url, f"{issuer.url}/nothing")
    issuer.keys.clear()
    with pytest.raises(CannotRead, match="no public key"):
        read_keys(issuer.url, None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"jwt_issuer": "http://login.example.com", "jwt_audience": "a"}, "https://"),
        ({"jwt_issuer": "https://login.example.com"}, "jwt_audience is not"),
        ({"jwt_audience": "a"}, "jwt_issuer is not"),
        ({"jwt_jwks": "https://login.example.com/keys"}, "jwt_issuer is not"),
    ],
)
def test_half_a_configuration_is_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Config.load(environ={}, **settings)


def test_an_empty_variable_is_refused() -> None:
    """A template that failed must not switch identity off."""
    for name in ("NERVENET_JWT_ISSUER", "NERVENET_TOKENS_FILE"):
        with pytest.raises(ConfigError, match=f"{name} is set but empty"):
            Config.load(environ={name: ""})
