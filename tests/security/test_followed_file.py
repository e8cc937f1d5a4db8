# SPDX-License-Identifier: Apache-2.0
"""One class follows the files of a process: what counts, and for how long, when they change, break or vanish."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nervenet.clock import Clock
from nervenet.errors import ConfigError
from nervenet.followed_file import ALWAYS, FollowedFile
from nervenet.timing import FILE_LOG_AGAIN, FILE_LOOK_AGAIN, FILE_LOOK_EVERY


class Hand(Clock):
    """A clock that is moved by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Number:
    """A file with a number."""

    def __init__(self, folder: Path, keep: float = ALWAYS, readings: int = 1) -> None:
        self.path, self.clock, self.parsed = folder / "number", Hand(), 0
        self.path.write_text("1")
        self.heard: list[int] = []
        self.file = FollowedFile(
            "the number",
            self.path.read_text,
            self._parse,
            noun="number",
            keep=keep,
            readings=readings,
            nothing="nothing is counted",
            on_change=self.heard.append,
            clock=self.clock,
        )

    def _parse(self, text: str) -> int:
        self.parsed += 1
        if not text.isdigit():
            raise ConfigError("the number is none")
        return int(text)

    def looks(self, times: int = 1) -> int | None:
        for _ in range(times):
            self.clock.now += self.file.look()
        return self.file.value


def test_what_has_not_changed_is_not_parsed_again(tmp_path: Path) -> None:
    number = Number(tmp_path)
    assert (number.looks(5), number.parsed, number.file.version) == (1, 1, 1)
    number.path.write_text("2")
    assert (number.looks(), number.file.version, number.heard) == (2, 2, [2])


def test_readers_look_at_most_once_a_second(tmp_path: Path) -> None:
    number = Number(tmp_path)
    number.path.write_text("2")
    assert [number.file.look_if_due() for _ in range(3)] == [1, 1, 1]
    number.clock.now += FILE_LOOK_EVERY
    assert [number.file.look_if_due() for _ in range(3)] == [2, 2, 2]


def test_with_two_readings_half_of_what_is_written_never_counts(tmp_path: Path) -> None:
    number = Number(tmp_path, readings=2)
    for half in ("23", "234", "2345"):
        number.path.write_text(half)
        assert number.file.look() == FILE_LOOK_AGAIN
        assert number.file.value == 1
    assert number.looks() == 2345


@pytest.mark.parametrize("ruin", ["garbage", None])
def test_the_last_good_content_counts_for_as_long_as_it_is_told(tmp_path: Path, ruin: str | None) -> None:
    always, seconds = Number(tmp_path), Number(tmp_path, keep=5.0)
    always.path.unlink() if ruin is None else always.path.write_text(ruin)
    began = seconds.clock.now
    while seconds.looks() is not None:
        assert seconds.clock.now - began < 10
    assert 5.0 <= seconds.clock.now - began <= 5.0 + 2 * FILE_LOOK_AGAIN
    assert always.looks(1000) == 1
    assert always.file.problem
    always.path.write_text("1")
    assert (always.looks(), seconds.looks(), always.file.problem) == (1, 1, "")


def test_trouble_is_told_at_the_second_look_and_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number = Number(tmp_path, keep=5.0)
    number.path.write_text("garbage")
    number.looks()
    assert caplog.messages == [], "it may be half written"
    number.looks(200)
    assert caplog.messages == [
        "the number is none; until then the last good number counts, for 5 s at most",
        "the number is none; until then nothing is counted",
    ]
    number.path.write_text("2")
    number.looks()
    assert caplog.messages[2:] == ["the number can be used again"]
    assert caplog.records[-1].levelno == logging.WARNING
    number.path.write_text("garbage")
    number.clock.now += FILE_LOG_AGAIN
    number.looks(4)
    assert len(caplog.messages) == 4


def test_who_follows_survives_whatever_reading_and_parsing_raise(tmp_path: Path) -> None:
    number = Number(tmp_path)
    number.path.write_bytes(b"\xff")
    assert number.looks(3) == 1
    assert number.file.problem.startswith("the number: UnicodeDecodeError")


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    number = Number(tmp_path)
    number.path.write_text("x")
    with pytest.raises(ConfigError, match="the number is none"):
        FollowedFile("the number", number.path.read_text, number._parse)
