# SPDX-License-Identifier: Apache-2.0
"""What people type: JSON inputs, labels, states, spans, and the usage errors that show what to type instead."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from nervenet.cli import main
from nervenet.cli.failures import UsageError
from nervenet.cli.values import escalation_id, labels, read_json, since, span, states


@pytest.mark.parametrize(
    "text", ['["Ada", "Grace"]', "9007199254740993000", "1.10", "null", '"Ada"', '{"a": {"b": []}}']
)
def test_json_is_sent_as_it_was_written(text: str) -> None:
    assert read_json(f"  {text}\n") == text


def test_a_bare_word_is_shown_in_quotes() -> None:
    with pytest.raises(UsageError, match=r"INPUT must be JSON, and Ada is not. As a JSON string: '\"Ada\"'"):
        read_json("Ada")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1,}', "INPUT is not JSON: .* at line 1, column"),
        ("", "INPUT is empty; the JSON for no value is null"),
        ('["a", NaN]', "NaN is not a JSON number"),
        ("[" * 100_000, "nested too deep"),
        ("@nowhere.json", "INPUT @nowhere.json: No such file"),
    ],
)
def test_what_is_no_json_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_json(text)


def test_a_file_or_standard_input_stands_for_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doc.json").write_text('\ufeff{"name": "ä"}\n', encoding="utf-8")
    assert read_json(f"@{tmp_path}/doc.json") == '{"name": "ä"}'
    (tmp_path / "latin.json").write_bytes('"ä"'.encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_json(f"@{tmp_path}/latin.json")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2]\n")))
    assert read_json("-") == "[1, 2]"


def test_labels_states_spans_and_ids() -> None:
    assert labels(["team=legal", "q=a=b", "empty="]) == {"team": "legal", "q": "a=b", "empty": ""}
    assert states(["failed,blocked", "waiting", "timed-out"]) == ["FAILED", "BLOCKED", "WAITING_FOR_HUMAN", "TIMED_OUT"]
    assert [span(text, "--timeout") for text in ("30", "30s", "2m", "1.5h")] == [30, 30, 120, 5400]
    assert since("2h", 10_000_000) == 2_800_000
    assert since("1970-01-01T01:00Z", 0) == 3_600_000
    assert [escalation_id(text) for text in ("a/b/ask", "review-118/ask#2")] == ["a/b/ask#1", "review-118/ask#2"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["lsit"], "there is no command lsit; did you mean list?"),
        (["start"], "start: missing: NAME"),
        (["start", "welcome", "Ada"], "As a JSON string:"),
        (["start", "welcome", "--timeout", "3s"], "--timeout needs --wait"),
        (["list", "--state", "faild"], "did you mean failed?"),
        (["list", "--since", "yesterday"], "give a duration"),
        (["list", "--limit", "0"], "at least 1"),
        (["list", "--limit", "x"], "list: --limit needs a whole number of at least 1, not 'x'"),
        (["list", "--limit"], "list: --limit needs a value: N"),
        (["list", "--colour", "never"], "list: there is no flag --colour; did you mean --color?"),
        (["list", "--color", "alwys"], "--color needs one of auto, always, never, not 'alwys'; did you mean always?"),
        (["list", "--json=1"], "list: --json takes no value"),
        (["list", "a", "b"], "list: too many arguments: a b"),
        (["agents", "lst"], "agents: there is no command lst; did you mean list?"),
        (["escalations", "resolve", "review-118"], "is not an escalation id"),
        (["escalations", "resolve", "w/ask", "--answer", "a", "--fail", "b"], "give --answer or --fail, not both"),
        (["cancel"], "missing: ID"),
        (["dev", "hello.py", "--port", "70000"], "--port needs a whole number from 0 to 65535"),
        (["list", "--namespace", "no good"], "namespace is 'no good'"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_a_sentence(
    line: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert says in err and not out and "Traceback" not in err


def test_the_version_is_a_flag_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second and first.startswith("nervenet ")


def test_with_json_a_wrong_command_line_is_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", "--state", "faild"]) == 2
    assert '"code": 3' in capsys.readouterr().err


def test_flags_for_all_commands_stand_on_either_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--namespace", "left", "config", "show"]) == 0
    assert main(["config", "show", "--namespace", "right"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["namespace", "left", "argument"] in lines and ["namespace", "right", "argument"] in lines


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    page = capsys.readouterr().out
    for word in ("dev", "start", "escalations resolve", "agents list", "config show", "version"):
        assert word in page
