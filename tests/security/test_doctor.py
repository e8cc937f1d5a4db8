# SPDX-License-Identifier: Apache-2.0
"""`nervenet doctor` and `config show` tell what is wrong with credentials, and never show one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from nervenet.cli.doctor.check import Check
from nervenet.cli.doctor.credentials import DAY, credential_checks
from nervenet.config import Config
from nervenet.security.named_tokens import hash_of
from tests.security.test_named_tokens import TokensFile
from tests.support.environment import clean_environment, nervenet
from tests.support.issuer import AUDIENCE, issuing


def checks(**settings: Any) -> dict[tuple[str, str], str]:
    found: list[Check] = credential_checks(Config.load(environ={}, **settings), round(time.time() * 1000))
    return {(one.name, one.status): f"{one.detail} → {one.remedy}" for one in found}


def test_tokens_that_end_are_named(tmp_path: Path) -> None:
    tokens = TokensFile(tmp_path)
    given = [tokens.add("old", lasts=-5), tokens.add("soon", lasts=3 * DAY), tokens.add("ci")]
    own = {"tokens_file": tokens.path, "token": given[2]}
    found = credential_checks(Config.load(environ={}, **own), round(time.time() * 1000))
    assert [(one.status, one.detail.partition(" in ")[0], one.detail.rpartition(": ")[2]) for one in found] == [
        ("warning", "expired", "old"),
        ("warning", "expires within 14 days", "soon"),
    ]
    assert not any(token in str(found) or hash_of(token)[10:30] in str(found) for token in given)
    tokens.remove("old")
    tokens.remove("soon")
    assert ("tokens", "ok") in checks(**own)
    assert "has none of its own" in checks(tokens_file=tokens.path)["token", "warning"]
    tokens.rows["ci"] = "[ci]\n"
    tokens.write()
    assert "[ci] needs hash" in checks(**own)["tokens", "error"]
    tokens.path.write_text("[")
    assert "is not TOML" in checks(**own)["tokens", "error"]


def test_an_issuer_that_is_away_and_a_jwt_that_has_expired(tmp_path: Path) -> None:
    file = tmp_path / "jwt"
    with issuing() as issuer:
        file.write_text(issuer.token())
        settings = {"jwt_issuer": issuer.url, "jwt_audience": AUDIENCE, "token_file": str(file)}
        assert set(checks(**settings)) == {("issuer", "ok"), ("token", "ok")}
        file.write_text(issuer.token(lasts=-100))
        issuer.down = True
        found = checks(**settings)
        assert "503" in found["issuer", "error"]
        assert "has expired" in found["token", "error"]
        assert file.read_text() not in str(found)


@pytest.mark.parametrize(
    "command", [["config", "show"], ["config", "show", "--json"], ["doctor"], ["doctor", "--json"]]
)
def test_no_command_shows_a_token(tmp_path: Path, command: list[str]) -> None:
    tokens = TokensFile(tmp_path)
    own = tokens.add("ci", lasts=3 * DAY)
    env = {"NERVENET_TOKEN": own, "NERVENET_TOKENS_FILE": str(tokens.path), "NERVENET_ADDRESS": "127.0.0.1:1"}
    done = nervenet(*command, env=clean_environment(**env))
    said = done.stdout + done.stderr
    assert str(tokens.path) in said, "it is about this file"
    for secret in (own, hash_of(own), hash_of(own).removeprefix("sha256:")):
        assert secret not in said
