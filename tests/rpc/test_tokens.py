# SPDX-License-Identifier: Apache-2.0
"""No readable token, no calls: what a process that serves believes of its token file, and when."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nervenet.clock import Clock
from nervenet.config import Config
from nervenet.dev.servers import Server
from nervenet.errors import ConfigError, RequestError
from nervenet.security.shared_token import SharedToken
from nervenet.timing import FILE_LOG_AGAIN, FILE_LOOK_AGAIN, FILE_LOOK_EVERY, TOKEN_GRACE
from tests.rpc.token_storm import as_folder, storm
from tests.support.mesh import ProcessMesh


class Hand(Clock):
    """A clock that is moved by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Serving:
    """Tokens of a process that was started with the token `first`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_text("first\n")
        self.clock = Hand()
        self.tokens = SharedToken(Config.load(environ={}, token_file=file), self.clock)

    def wait(self, seconds: float) -> None:
        """Time passes, and the file is read as often as the process would."""
        until, due = self.clock.now + seconds, self.clock.now
        while due <= until:
            self.clock.now = due
            due += self.tokens.look()
        self.clock.now = until

    def told(self, header: str) -> str:
        try:
            self.tokens.check(header)
        except RequestError as error:
            return error.reason
        return "served"


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    return Serving(tmp_path / "token")


def refuse_all_but(serving: Serving, right: str) -> None:
    for header in ("", "Bearer ", "Bearer", "Bearer None", "Bearer guessed", right, f"Bearer {right[:-1]}"):
        assert serving.told(header) == "BAD_TOKEN", header


def test_only_the_whole_token_is_served(serving: Serving) -> None:
    assert serving.told("Bearer first") == "served"
    refuse_all_but(serving, "first")


BREAKS: list[Callable[[Path], object]] = [
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(b" \n"),
    lambda file: file.unlink(),
    lambda file: file.write_bytes(b"\xff\xfe\x00"),
    lambda file: file.write_bytes(b"first\0"),
    as_folder,
]


@pytest.mark.parametrize("ruin", BREAKS)
def test_a_file_without_a_token_counts_as_the_last_good_one_for_seconds_and_then_nobody_is_served(
    serving: Serving, ruin: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    serving.wait(FILE_LOOK_EVERY)
    ruin(serving.file)
    serving.wait(FILE_LOOK_EVERY)
    assert serving.told("Bearer first") == "served"
    refuse_all_but(serving, "first")
    serving.wait(TOKEN_GRACE)
    assert serving.told("") == "BAD_TOKEN"
    for header in ("Bearer first", "Bearer ", "Bearer None"):
        assert serving.told(header) == "TOKEN_UNREADABLE"
    assert str(serving.file) in caplog.text and "write the token" in caplog.text
    serving.wait(FILE_LOG_AGAIN * 10)
    assert len(caplog.records) <= 4, "the log does not repeat itself"
    if serving.file.is_dir():
        serving.file.rmdir()
    serving.file.write_text("first")
    serving.wait(2 * FILE_LOOK_AGAIN)
    assert serving.told("Bearer first") == "served"
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_rotated_token_replaces_the_old_one(serving: Serving) -> None:
    serving.file.write_text("second")
    serving.wait(FILE_LOOK_EVERY + FILE_LOOK_AGAIN)
    assert (serving.told("Bearer first"), serving.told("Bearer second")) == ("BAD_TOKEN", "served")


def test_half_of_what_is_being_written_is_never_a_token(serving: Serving) -> None:
    serving.wait(FILE_LOOK_EVERY)
    for piece in ("", "se", "seco", "second"):
        serving.file.write_text(piece)
        serving.wait(FILE_LOOK_AGAIN * 0.9)
        assert all(serving.told(f"Bearer {half}") == "BAD_TOKEN" for half in ("se", "seco"))
    serving.wait(FILE_LOOK_EVERY)
    assert serving.told("Bearer second") == "served"


def test_a_text_that_never_stays_the_same_is_no_token_either(serving: Serving) -> None:
    for n in range(100):
        serving.file.write_text(f"token-{n}")
        serving.wait(FILE_LOOK_AGAIN * 0.9)
    assert serving.told("Bearer first") == "TOKEN_UNREADABLE"


def test_a_process_without_a_token_in_its_file_does_not_start(tmp_path: Path) -> None:
    config = Serving(tmp_path / "token").tokens._config
    (tmp_path / "token").write_text("")
    with pytest.raises(ConfigError, match="is empty: write the token"):
        SharedToken(config)


@pytest.fixture
def host(tmp_path: Path, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path, shared_valkey.url, shared_etcd.url) as host:
        yield host


def test_no_call_is_answered_without_the_right_token_whatever_becomes_of_the_file(host: ProcessMesh) -> None:
    """The long form is `python -m tests.rpc.token_storm`."""
    seed = 20_000
    done = storm(host, seed, rounds=1, rate=300, pause=0.1, long=TOKEN_GRACE + 1, rotate=False)
    assert done.problems == [], f"seed {seed}"
    reasons = {reason for _, reason in done.answers}
    assert reasons == {"", "BAD_TOKEN", "TOKEN_UNREADABLE"}, done.answers
