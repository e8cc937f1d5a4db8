# SPDX-License-Identifier: Apache-2.0
"""Tokens and JWTs of the settings here: what expires, what is wrong, and whether the issuer's keys can be read.

No check shows a token, a hash or a claim.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, Final

from nervenet.cli.doctor.check import Check, error, named, ok, warning
from nervenet.config import Config
from nervenet.errors import ConfigError
from nervenet.security.caller import Caller
from nervenet.security.issuer_keys import CannotRead, read_keys
from nervenet.security.named_tokens import TokenRows, read_rows

DAY: Final = 86_400.0
SOON: Final = 14
"""Days before its end from which on a token is reported."""
_RENEW: Final = "make a new one (nervenet tokens new), give it to its caller, and replace the row"


def credential_checks(config: Config, now_ms: int) -> list[Check]:
    """What the settings name. It blocks: the issuer is asked."""
    found = []
    if config.tokens_file is not None:
        found += _rows(config.tokens_file, now_ms / 1000)
    if config.jwt_issuer is not None:
        found.append(_issuer(config.jwt_issuer, config.jwt_jwks))
    found += _own(config, now_ms / 1000)
    return found


def _rows(file: str, now: float) -> list[Check]:
    try:
        return judge_rows(file, read_rows(file), now)
    except ConfigError as fault:
        return [error("tokens", str(fault), "write it again: nobody in it is known until it can be read")]


def judge_rows(file: str, rows: TokenRows, now: float) -> list[Check]:
    """The checks of the rows of a file."""
    if rows.wrong:
        return [error("tokens", "; ".join(rows.wrong), "correct the rows: their callers are refused")]
    over = _named(caller for caller in rows.callers.values() if _left(caller, now) <= 0)
    soon = _named(caller for caller in rows.callers.values() if 0 < _left(caller, now) < SOON * DAY)
    found = []
    if over:
        found.append(warning("tokens", f"expired in {file}: {named(over)}", f"remove the rows, or {_RENEW}"))
    if soon:
        found.append(warning("tokens", f"expires within {SOON} days in {file}: {named(soon)}", _RENEW))
    return found or [ok("tokens", f"{file} has {len(rows.callers)}")]


def _left(caller: Caller, now: float) -> float:
    return float("inf") if caller.expires is None else caller.expires - now


def _named(callers: Iterable[Caller]) -> list[str]:
    return sorted(caller.subject for caller in callers)


def _issuer(issuer: str, url: str | None) -> Check:
    try:
        keys = read_keys(issuer, url)
    except CannotRead as fault:
        remedy = "let this machine reach the issuer, or set NERVENET_JWT_JWKS: without keys no JWT is accepted"
        return error("issuer", str(fault), remedy)
    return ok("issuer", f"{issuer} has {len(keys)} keys")


def _own(config: Config, now: float) -> list[Check]:
    """What this machine shows to others."""
    if not config.has_token:
        if (config.tokens_file is None and config.jwt_issuer is None) or config.tls_cert is not None:
            return []
        remedy = "set NERVENET_TOKEN_FILE (or NERVENET_TLS_CERT): nodes call each other and agents with it"
        return [warning("token", "callers need credentials here, and this process has none of its own", remedy)]
    try:
        token = config.current_token() or ""
    except ConfigError as fault:
        return [error("token", str(fault), "until then this process calls nobody")]
    ends = _end_of_jwt(token)
    if ends is None:
        return []
    if ends <= now:
        return [error("token", "the JWT in the settings has expired", "let what writes the file write a new one")]
    return [ok("token", f"the JWT in the settings counts for {(ends - now) / 60:.0f} minutes")]


def _end_of_jwt(token: str) -> float | None:
    """When a JWT says that it ends. None: it is no JWT, or says nothing."""
    parts = token.split(".")
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "==")) if len(parts) == 3 else None
        return float(claims["exp"])
    except (ValueError, TypeError, KeyError):
        return None
