# SPDX-License-Identifier: Apache-2.0
"""Replay with a codec: the code sees values, commands and journals have ciphertext, and digests stay the same."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path
from typing import Any

import pytest

from nervenet import CallFailed, CallOptions, Context, Mesh, RetryPolicy, Signal
from nervenet.clock import SYSTEM
from nervenet.codecs import PLAIN, Codecs, is_encoded, open_codecs
from nervenet.durable import PYTHON, Machine
from nervenet.durable.check import replay_check
from nervenet.durable.commands import CloseRun, Dispatch, Publish
from nervenet.records import (
    Attempt,
    Close,
    Entry,
    Failure,
    FailureCode,
    Outcome,
    Payload,
    Signaled,
    Start,
    State,
)
from nervenet.testing import Journal, replay
from tests.encryption.keys import codec, key_file
from tests.support.environment import clean_environment, nervenet

mesh = Mesh("replayed")
more = Signal[str]("more", str)


@mesh.agent(options=CallOptions(retry=RetryPolicy(max_attempts=2)))
def work(words: str) -> str:
    return words


@mesh.workflow
async def talk(ctx: Context, words: str) -> str:
    ctx.publish({"said": words})
    try:
        first = await ctx.call(work, words)
    except CallFailed as failed:
        first = failed.failure.message
    return first + await ctx.receive(more)


@mesh.workflow
async def wrong(ctx: Context, words: str) -> str:
    return {"a": "b"}[words]


elsewhere = Mesh("elsewhere")


@elsewhere.workflow(name="talk")
async def other_talk(ctx: Context, words: str) -> str:
    """The same workflow with other code: it gives its agent another input."""
    return await ctx.call(work, words + "!")


def opened(folder: Path, *key_ids: str) -> Codecs:
    return open_codecs(codec(key_file(folder / "-".join(key_ids), *key_ids)))


def start(codecs: Codecs, workflow: str = "talk") -> Entry:
    given = codecs.encode(Payload("json", b'"secret"'))
    return Entry("start", Start(workflow, 1, PYTHON, given, seed=b"s" * 16), 1, 1000)


def fold(codecs: Codecs, *entries: Entry, workflow: object = talk) -> Machine:
    machine = Machine(workflow, "w", codecs=codecs)  # type: ignore[arg-type]
    machine.foresee(entries)
    for entry in entries:
        machine.apply(entry, replaying=True)
    return machine


def dispatched(machine: Machine) -> Dispatch:
    (found,) = [command for command in machine.outstanding() if isinstance(command, Dispatch)]
    return found


def outcome(codecs: Codecs, sent: Dispatch, value: bytes, n: int = 2) -> Entry:
    return Entry("task:work", Outcome(codecs.encode(Payload("json", value)), None, "work", sent.digest, 1), n, 1000 + n)


def test_commands_are_encoded_and_digests_stay_the_same(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    begun = start(codecs)
    one, other = dispatched(fold(codecs, begun)), dispatched(fold(codecs, begun))
    assert is_encoded(one.input)
    assert one.input != other.input, "each replay encrypts again"
    assert one.digest == other.digest
    assert codecs.decode(one.input) == Payload("json", b'"secret"')
    assert all(b"secret" not in repr(command).encode() for command in fold(codecs, begun).outstanding())


def test_the_code_gets_values_and_the_end_is_encoded(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    begun = start(codecs)
    entries = [begun, outcome(codecs, dispatched(fold(codecs, begun)), b'"done"')]
    entries.append(Entry("signal:1", Signaled("more", codecs.encode(Payload("json", b'" more"'))), 3, 1003))
    machine = fold(codecs, *entries)
    assert machine.result is not None
    assert machine.result.output is not None
    assert codecs.decode(machine.result.output) == Payload("json", b'"done more"')
    close = next(command.close for command in machine.outstanding() if isinstance(command, CloseRun))
    ended = fold(codecs, *entries, Entry("close", close, 4, 1004))
    assert (ended.state, ended.blocked) == (State.SUCCEEDED, None), "its end is compared as a value, not as bytes"
    other = Close(State.SUCCEEDED, codecs.encode(Payload("json", b'"else"')))
    assert fold(codecs, *entries, Entry("close", other, 4, 1004)).blocked is not None


def test_a_journal_of_before_a_rotation_replays(tmp_path: Path) -> None:
    old, new = opened(tmp_path, "k1"), opened(tmp_path, "k2", "k1")
    begun = start(old)
    entries = (begun, outcome(old, dispatched(fold(old, begun)), b'"done"'))
    machine = fold(new, *entries)
    assert machine.blocked is None
    assert [one.signal for one in machine.awaited_signals()] == ["more"]


def test_a_journal_of_before_the_codec_replays(tmp_path: Path) -> None:
    begun = start(PLAIN)
    entries = (begun, outcome(PLAIN, dispatched(fold(PLAIN, begun)), b'"done"'))
    assert fold(opened(tmp_path, "k1"), *entries).blocked is None


def test_another_input_is_still_a_contradiction(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    begun = start(codecs)
    sent = dispatched(fold(codecs, begun))._replace(digest=b"12345678")
    machine = fold(codecs, begun, outcome(codecs, sent, b'"done"'))
    assert machine.blocked is not None
    assert "task:work" in machine.blocked.expected


def test_a_missing_key_blocks_and_the_key_continues(tmp_path: Path) -> None:
    codecs, other = opened(tmp_path, "k1"), opened(tmp_path, "k2")
    begun = start(codecs)
    for without, words in (
        (other, "key id k1, which"),
        (PLAIN, "encrypted (key id k1), but NERVENET_CODEC is not set"),
    ):
        blocked = fold(without, begun).blocked
        assert blocked is not None
        assert words in blocked.note
        assert "NERVENET_CODEC" in blocked.note
        assert blocked.note.endswith("nervenet retry w")
    both = opened(tmp_path, "k2", "k1")
    later = outcome(codecs, dispatched(fold(codecs, begun)), b'"done"')
    assert fold(other, begun, later).blocked is not None
    assert fold(both, begun, later).blocked is None


def test_a_missing_key_in_the_middle_cannot_be_caught_by_code(tmp_path: Path) -> None:
    """A result under an unknown key must not become an exception that code takes for an answer."""
    codecs, other = opened(tmp_path, "k1"), opened(tmp_path, "k2")
    begun = start(codecs)
    machine = fold(codecs, begun, outcome(other, dispatched(fold(codecs, begun)), b'"done"'))
    assert machine.blocked is not None
    assert "key id k2" in machine.blocked.note


def test_failures_are_decided_by_what_is_clear_and_read_by_the_code(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    begun = start(codecs)
    sent = dispatched(fold(codecs, begun))
    entries = [begun]
    for n in (1, 2):
        failure = codecs.encode_failure(Failure(FailureCode.APPLICATION, "no secret today", "Busy", attempt=n))
        entries.append(Entry(f"attempt:work#{n}", Attempt(failure, None, "work", sent.digest, "a"), n + 1, 1000 + n))
    waiting = fold(codecs, *entries)
    last = waiting.outstanding()
    assert "no secret" not in repr(last)
    pending = waiting.pending["work"]
    assert pending.last_failed is not None
    assert pending.last_failed.failure.message == "encrypted (key id k1)"
    failed = Entry("task:work", next(iter(last)).outcome, 4, 1004)  # type: ignore[union-attr]
    signal = Entry("signal:1", Signaled("more", codecs.encode(Payload("json", b'"!"'))), 5, 1005)
    ended = fold(codecs, *entries, failed, signal)
    assert ended.result is not None
    assert ended.result.output is not None
    assert codecs.decode(ended.result.output) == Payload("json", b'"no secret today!"')


def test_a_programming_error_blocks_without_its_words(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    machine = fold(codecs, start(codecs, "wrong"), workflow=wrong)
    assert machine.blocked is not None
    assert machine.blocked.error == "KeyError: encrypted (key id k1)"
    assert "secret" not in machine.blocked.detail
    assert "KeyError: 'secret'" in codecs.decode_text(machine.blocked.detail)


def test_what_is_published_is_a_text_that_only_keys_read(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    (view,) = [one.view for one in fold(codecs, start(codecs)).outstanding() if isinstance(one, Publish)]
    assert view.form == "json"
    assert b"secret" not in view.data
    assert codecs.decode_text(view.data.decode()[1:-1]) == '{"said":"secret"}'


def test_the_replay_check_compares_values(tmp_path: Path) -> None:
    codecs = opened(tmp_path, "k1")
    begun = start(codecs)
    machine = fold(codecs, begun)
    again, difference = replay_check(machine, (begun,))
    assert difference is None
    assert dispatched(again).input != dispatched(machine).input


def test_a_replay_does_not_touch_the_file_of_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is gone, and a pipe that nobody writes to is in its place: who opens it waits for ever. A value under an unknown
    key makes nobody look either."""
    codecs, other = opened(tmp_path, "k1"), opened(tmp_path, "k2")
    begun = start(codecs)
    done = outcome(codecs, dispatched(fold(codecs, begun)), b'"done"')
    file = tmp_path / "k1"
    file.unlink()
    os.mkfifo(file)
    touched: list[str] = []

    def note(module: Any, name: str) -> None:
        real = getattr(module, name)

        def noting(path: Any, *arguments: Any, **named: Any) -> Any:
            if str(tmp_path) in str(path):
                touched.append(f"{name} {path}")
            return real(path, *arguments, **named)

        monkeypatch.setattr(module, name, noting)

    for module, name in ((os, "stat"), (os, "open"), (io, "open"), (builtins, "open")):
        note(module, name)
    now = SYSTEM.monotonic()
    monkeypatch.setattr(SYSTEM, "monotonic", lambda: now + 3600, raising=False)  # any look would be due
    unknown = Entry("signal:1", Signaled("more", other.encode(Payload("json", b'" more"'))), 3, 1003)
    blocked = fold(codecs, begun, done, unknown).blocked
    assert blocked is not None and "key id k2" in blocked.note
    known = Entry("signal:1", Signaled("more", codecs.encode(Payload("json", b'" more"'))), 3, 1003)
    machine = fold(codecs, begun, done, known)
    assert machine.result is not None and machine.result.output is not None
    assert codecs.decode(machine.result.output) == Payload("json", b'"done more"')
    assert touched == []


def test_without_a_codec_nothing_changes() -> None:
    begun = start(PLAIN)
    sent = dispatched(fold(PLAIN, begun))
    assert sent.input == Payload("json", b'"secret"')
    assert sent.digest == sent.input.digest()


# ── journals in files ────────────────────────────────────────────────────────────────────────────────────────────────


def recorded(folder: Path) -> Path:
    """A journal with ciphertext, as `nervenet journal export` writes it where no codec is set."""
    codecs = opened(folder, "k1")
    begun = start(codecs)
    entries = (begun, outcome(codecs, dispatched(fold(codecs, begun)), b'"done"'))
    Journal("w", 1, entries).dump(folder / "journal.json")
    assert "secret" not in (folder / "journal.json").read_text()
    return folder / "journal.json"


def test_the_test_kit_replays_encrypted_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.load(recorded(tmp_path))
    replay(talk, journal, codec=codec(tmp_path / "k1"))
    monkeypatch.delenv("NERVENET_CODEC", raising=False)
    with pytest.raises(AssertionError, match=r"encrypted \(key id k1\), but NERVENET_CODEC is not set"):
        replay(talk, journal)
    with pytest.raises(AssertionError, match="key id k1, which"):
        replay(talk, journal, codec=codec(key_file(tmp_path / "other", "k2")))
    monkeypatch.setenv("NERVENET_CODEC", codec(tmp_path / "k1"))
    replay(talk, journal)


def test_an_encrypted_journal_still_contradicts_other_code(tmp_path: Path) -> None:
    journal = Journal.load(recorded(tmp_path))
    with pytest.raises(AssertionError, match="task:work"):
        replay(other_talk, journal, codec=codec(tmp_path / "k1"))


def test_nervenet_replay_decodes_with_the_codec_of_its_settings(tmp_path: Path) -> None:
    def told(**env: str) -> tuple[int, str]:
        done = nervenet("replay", f"{__file__}:mesh", str(recorded(tmp_path)), env=clean_environment(**env))
        return done.returncode, done.stdout + done.stderr

    code, words = told(NERVENET_CODEC=codec(tmp_path / "k1"))
    assert code == 0, words
    code, words = told()
    assert (code, "NERVENET_CODEC is not set" in words) == (1, True), words
    code, words = told(NERVENET_CODEC="aes-gcm:/not/there")
    assert (code, "codec: the key file /not/there cannot be read" in words) == (2, True), words
