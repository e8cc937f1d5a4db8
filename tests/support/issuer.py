# SPDX-License-Identifier: Apache-2.0
"""An issuer of JWTs for one test: an HTTP server with its keys, as an identity provider has them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "nervenet-test"


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class Issuer:
    """`issuer()` makes one. `url` is what tokens have as `iss`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Any] = {}
        self.extra: list[dict[str, Any]] = []
        self.down = False
        self.reads = 0
        self.add("first")

    def add(self, key_id: str, key: Any = None) -> Any:
        """A new key, with which tokens are signed from now on."""
        self.keys[key_id] = key or ec.generate_private_key(ec.SECP256R1())
        self.current = key_id
        return self.keys[key_id]

    def token(self, *, key_id: str | None = None, alg: str = "", lasts: float = 300.0, **claims: Any) -> str:
        """A token; `claims` replace the good ones, and None leaves one out."""
        name = key_id or self.current
        key = self.keys[name]
        now = time.time()
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "user-7", "roles": ["client"], "iat": now, "exp": now + lasts}
        payload = {key: value for key, value in {**good, **claims}.items() if value is not None}
        return jwt.encode(payload, key, algorithm=alg or _algorithm(key), headers={"kid": name})

    def jwks(self) -> dict[str, Any]:
        return {"keys": [_jwk(key, key_id) for key_id, key in self.keys.items()] + self.extra}

    def public_pem(self) -> bytes:
        pem: bytes = self.keys[self.current].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


def _algorithm(key: Any) -> str:
    return (
        "RS256"
        if isinstance(key, rsa.RSAPrivateKey)
        else "EdDSA"
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else "ES256"
    )


def _jwk(key: Any, key_id: str) -> dict[str, Any]:
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ed25519.Ed25519PrivateKey: OKPAlgorithm}
    kind = next((kind for private, kind in kinds.items() if isinstance(key, private)), ECAlgorithm)
    made: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)  # type: ignore[attr-defined]
    return {**made, "kid": key_id, "use": "sig"}


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that answers until the block ends."""
    made: list[Issuer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = made[0]
            issuer.reads += 1
            pages = {
                "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                "/keys": issuer.jwks(),
            }
            if issuer.down or self.path not in pages:
                self.send_error(503 if issuer.down else 404)
                return
            body = json.dumps(pages[self.path]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.append(Issuer(f"http://127.0.0.1:{server.server_port}"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made[0]
    finally:
        server.shutdown()
        server.server_close()
