# SPDX-License-Identifier: Apache-2.0
"""Tokens with names: a file of hashes, which changes under a running server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nervenet.errors import ConfigError
from nervenet.security.named_tokens import hash_of, new_token, read_rows, row_of
from nervenet.timing import TOKEN_GRACE
from tests.security.serving import Serving
from tests.support.environment import clean_environment, nervenet

BAD, EXPIRED = "UNAUTHENTICATED BAD_TOKEN", "UNAUTHENTICATED CREDENTIALS_EXPIRED"


class TokensFile:
    """A file of tokens, as an operator keeps it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.toml"
        self.rows: dict[str, str] = {}
        self.write()

    def add(
        self, name: str, *, role: str = "client", namespaces: list[str] | None = None, lasts: float | None = None
    ) -> str:
        """A new token; what it is."""
        token = new_token()
        expires = None if lasts is None else datetime.now(UTC) + timedelta(seconds=lasts)
        self.rows[name] = row_of(name, hash_of(token), [role], namespaces or [], expires)
        self.write()
        return token

    def remove(self, name: str) -> None:
        del self.rows[name]
        self.write()

    def write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(self.rows.values()))
        new.rename(self.path)


@pytest.fixture
def tokens(tmp_path: Path) -> TokensFile:
    return TokensFile(tmp_path)


async def test_a_token_names_its_row(tokens: TokensFile) -> None:
    ci = tokens.add("ci", namespaces=["default"])
    async with Serving(tokens_file=tokens.path) as serving:
        assert await serving.over_both(ci) == "OK"
        (caller, _) = serving.servicer.served
        assert (caller.subject, caller.means, caller.expires) == ("ci", "token", None)
        assert caller.claims == {"roles": ["client"], "namespaces": ["default"]}
        hashed = hash_of(ci)
        for wrong in (None, "guessed", ci[:-1], f"{ci}x", hashed, hashed.removeprefix("sha256:")):
            assert await serving.over_both(wrong) == BAD, wrong


async def test_a_token_for_other_namespaces_is_refused_here(tokens: TokensFile) -> None:
    theirs = tokens.add("theirs", namespaces=["other"])
    async with Serving(tokens_file=tokens.path) as serving:
        assert await serving.over_both(theirs) == "PERMISSION_DENIED WRONG_NAMESPACE"


async def test_tokens_come_and_go_under_a_running_server(tokens: TokensFile) -> None:
    first = tokens.add("first")
    async with Serving(tokens_file=tokens.path) as serving:
        assert await serving.over_both(first) == "OK"
        second = tokens.add("second")
        assert await serving.over_both(second) == BAD
        await serving.until(second, "OK")
        tokens.remove("first")
        await serving.until(first, BAD)
        assert await serving.over_both(second) == "OK"


async def test_a_token_ends_when_its_row_says(tokens: TokensFile) -> None:
    brief, old = tokens.add("brief", lasts=3.0), tokens.add("old", lasts=-1.0)
    async with Serving(tokens_file=tokens.path) as serving:
        assert await serving.over_both(brief) == "OK"
        assert await serving.over_both(old) == EXPIRED
        await serving.until(brief, EXPIRED)


async def test_a_wrong_row_stops_one_caller_and_a_broken_file_stops_all(
    tokens: TokensFile, caplog: pytest.LogCaptureFixture
) -> None:
    good, ruined = tokens.add("good"), tokens.add("ruined")
    async with Serving(tokens_file=tokens.path) as serving:
        tokens.rows["ruined"] = tokens.rows["ruined"].replace("roles", "rolls")
        tokens.write()
        await serving.until(ruined, BAD)
        assert "[ruined] has 'rolls', which is not one of" in caplog.text
        assert await serving.over_both(good) == "OK"
        tokens.rows["ruined"] = "ruined = \n"
        tokens.write()
        await serving.until(good, "UNAVAILABLE TOKEN_UNREADABLE")
        assert f"the last good token counts, for {TOKEN_GRACE:g} s at most" in caplog.text
        assert good not in caplog.text
        tokens.remove("ruined")
        await serving.until(good, "OK")


async def test_what_this_process_shows_to_others_is_good_for_nobody_else(tokens: TokensFile) -> None:
    """A node that wants named tokens has a token of its own in `token`. Nobody is known by that."""
    ci, own = tokens.add("ci"), tokens.add("node")
    tokens.remove("node")
    async with Serving(tokens_file=tokens.path, token=own) as serving:
        assert await serving.over_both(own) == BAD
        assert await serving.over_both(ci) == "OK"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("ci = 1", "is no table"),
        ('[ci]\nroles = ["client"]', "needs hash"),
        ('[ci]\nhash = "sha256:abc"\nroles = ["client"]', "needs hash"),
        (f'[ci]\nhash = "{hash_of("a")}"', "needs roles"),
        (f'[ci]\nhash = "{hash_of("a")}"\nroles = []', "needs roles"),
        (f'[ci]\nhash = "{hash_of("a")}"\nroles = "client"', "needs roles"),
        (f'[ci]\nhash = "{hash_of("a")}"\nroles = ["client"]\nexpires = 2027-01-01', "a time and a zone"),
        (f'[ci]\nhash = "{hash_of("a")}"\nroles = ["client"]\nnamespace = "a"', "'namespace', which is not one of"),
        (f'["c i"]\nhash = "{hash_of("a")}"\nroles = ["client"]', "is no name"),
        (
            f'[a]\nhash = "{hash_of("a")}"\nroles = ["client"]\n[b]\nhash = "{hash_of("a")}"\nroles = ["viewer"]',
            r"same token as \[a\]",
        ),
    ],
)
def test_a_row_that_is_wrong_is_told_with_its_name(tmp_path: Path, row: str, says: str) -> None:
    (tmp_path / "tokens.toml").write_text(row)
    (wrong,) = read_rows(str(tmp_path / "tokens.toml")).wrong
    with pytest.raises(ConfigError, match=says):
        raise ConfigError(wrong)


def test_the_same_name_twice_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text("[a]\n[a]\n")
    with pytest.raises(ConfigError, match=r"is not TOML: at line 2, column 3"):
        read_rows(str(tmp_path / "tokens.toml"))


async def test_the_command_makes_a_token_and_the_row_by_which_it_is_known(tmp_path: Path) -> None:
    made = nervenet(
        "tokens", "new", "ci@example.com", "--role", "client,viewer", "--expires", "90d", env=clean_environment()
    )
    token, _, row = made.stdout.partition("\n")
    (tmp_path / "tokens.toml").write_text(row)
    assert token not in row
    async with Serving(tokens_file=tmp_path / "tokens.toml") as serving:
        assert await serving.over_both(token) == "OK"
        caller = serving.servicer.served[0]
        assert (caller.subject, caller.claims) == ("ci@example.com", {"roles": ["client", "viewer"]})
        assert caller.expires is not None


def test_the_command_makes_the_row_of_a_token_that_there_is(tmp_path: Path) -> None:
    """The way from one shared token to named ones: its hash is the first row."""
    (tmp_path / "token").write_text("s3cret\n")
    made = nervenet(
        "tokens", "new", "all", "--role", "operator", "--hash-of", str(tmp_path / "token"), env=clean_environment()
    )
    assert hash_of("s3cret") in made.stdout
    assert "s3cret" not in made.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["ci"], "--role"), (["c i", "--role", "client"], "is no name"), (["ci", "--role", "a/b"], "needs roles")],
)
def test_the_command_refuses_what_no_file_may_have(arguments: list[str], says: str) -> None:
    refused = nervenet("tokens", "new", *arguments, env=clean_environment())
    assert refused.returncode == 2
    assert says in refused.stderr
