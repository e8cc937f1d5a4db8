# SPDX-License-Identifier: Apache-2.0
"""`nervenet start -f` and `nervenet definitions`: files of workflows as data, from the command line."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from nervenet.cli import main
from nervenet.cli.failures import UsageError
from nervenet.cli.files import read
from tests.cli.test_commands import APP, Ran
from tests.support.dev import Dev

FLOW = """
# Greets everybody.
name: {name}
version: 1
description: |
  Greets everybody.
  Two at a time.
steps:
  - name: greetings
    for_each: {{items: input, concurrency: 2}}
    call:
      capability: greet
      input: item
  - name: loud
    depends_on: [greetings]
    value: |
      steps.greetings.map(g, g.upperAscii())
output: steps.loud
"""

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with Dev(tmp_path_factory.mktemp("definitions"), APP, "--no-reload") as dev:
        yield dev


@pytest.fixture
def run(dev: Dev, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NERVENET_ADDRESS", dev.address)

    def run(*line: str) -> Ran:
        capsys.readouterr()
        code = main(line)
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        return Ran(code, out, err)

    return run


@pytest.fixture
def name() -> str:
    return f"flow-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW.format(name=name))
    return path


def test_a_file_is_stored_and_started_in_one_go(run: Run, file: Path, name: str) -> None:
    ran = run("start", "-f", str(file), '["Ada", "Grace", "Joan"]', "--id", name, "--wait")
    assert (ran.code, ran.out) == (0, '["HELLO, ADA","HELLO, GRACE","HELLO, JOAN"]\n')
    assert f"{name} v1 stored" in ran.err and f"● {name} started ({name} v1)" in ran.err
    again = run("start", "-f", str(file), '["Ada", "Grace", "Joan"]', "--id", name)
    assert again.code == 0 and "stored" not in again.err
    by_name = run("start", name, '["Ada"]', "--wait")
    assert (by_name.code, by_name.out) == (0, '["HELLO, ADA"]\n')
    shown = run("show", name)
    assert "greetings.3" in shown.out and f"{name} v1" in shown.out


def test_definitions_are_put_listed_and_shown(run: Run, file: Path, name: str) -> None:
    assert f"{name} v1 is valid: 2 steps" in run("definitions", "put", str(file), "--check").err
    assert run("definitions", "show", name).code == 3
    assert f"{name} v1 stored" in run("definitions", "put", str(file)).err
    assert f"{name} v1 was stored already, with the same content" in run("definitions", "put", str(file)).err
    (line,) = [line for line in run("definitions", "list").out.splitlines() if name in line]
    assert line.split()[:2] == [name, "v1"] and line.endswith("Greets everybody.")
    shown = run("definitions", "show", name)
    data = YAML(typ="safe").load(shown.out)
    assert data["steps"][1]["value"] == "steps.greetings.map(g, g.upperAscii())\n"
    file.write_text(shown.out)
    assert "was stored already" in run("definitions", "put", str(file)).err  # what is shown is what is read
    file.write_text(FLOW.format(name=name).replace("concurrency: 2", "concurrency: 3"))
    other = run("definitions", "put", str(file))
    assert other.code == 4 and "version 1 is stored with other content" in other.err and "as version 2" in other.err
    file.write_text(FLOW.format(name=name).replace("version: 1", "version: 2"))
    assert run("definitions", "put", str(file)).code == 0
    versions = [line.split()[1] for line in run("definitions", "list", name).out.splitlines()[1:]]
    assert versions == ["v2", "v1"]
    assert json.loads(run("definitions", "show", name, "--version", "1", "--json").out)["definition"]["version"] == 1


def test_a_broken_file_is_told_with_its_lines_and_is_exit_code_2(run: Run, file: Path, name: str) -> None:
    text = FLOW.format(name=name)
    file.write_text(
        text.replace("depends_on: [greetings]", "depends_on: [greeting]").replace("version: 1", "version: 0")
    )
    ran = run("start", "-f", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        f"nervenet: {file}:4: version: 0: a whole number, at least 1",
        f"{file}:15: steps[1].depends_on[0]: no step 'greeting'; did you mean 'greetings'?",
    ]
    file.write_text(text.replace("capability:", "capabilty:").replace("items: input, ", ""))
    local = run("definitions", "put", str(file))
    assert local.code == 2
    assert local.err.splitlines() == [
        f"nervenet: {file}:12: steps[0].call.capabilty: no field 'capabilty'; did you mean 'capability'?",
        f"{file}:10: steps[0].for_each.items: an expression is needed",
    ]
    told = json.loads(run("definitions", "put", str(file), "--json").err)
    assert told["details"][1]["fieldViolations"][0]["field"] == "definition.steps[0].call.capabilty"
    missing = text.replace("items: input, ", "")
    file.write_text(missing)
    assert f"{file}:10: steps[0].for_each.items: an expression is needed" in run("definitions", "put", str(file)).err


def test_journals_are_held_against_a_file(run: Run, file: Path, name: str, tmp_path: Path) -> None:
    run("start", "-f", str(file), '["Ada", "Grace"]', "--id", name, "--wait")
    journal = tmp_path / "journal.json"
    journal.write_text(run("journal", "export", name).out)
    assert run("replay", str(file), str(journal)).code == 0
    file.write_text(FLOW.format(name=name).replace("name: greetings", "name: hellos").replace("greetings", "hellos"))
    other = run("replay", str(file), str(journal))
    assert other.code == 1 and "task:greetings" in other.out and "task:hellos" in other.out
    assert "steps[0] 'hellos'" in other.out
    file.write_text("name: 1")
    assert run("replay", str(file), str(journal)).code == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("start",), "start: missing: NAME"),
        (("start", "-f", "x.yaml", "1", "2"), "the file has name and version, so leave out 1"),
        (("start", "-f", "x.yaml", "--version", "2"), "the file has name and version, so leave out --version"),
        (("start", "-f", "no-such.yaml"), "no-such.yaml: No such file or directory"),
    ],
)
def test_what_was_typed_wrongly(run: Run, line: tuple[str, ...], words: str) -> None:
    ran = run(*line)
    assert ran.code == 2 and words in ran.err


def data_of(tmp_path: Path, text: str, name: str = "x.yaml") -> Any:
    path = tmp_path / name
    path.write_text(text)
    return read(str(path))


def test_yaml_is_that_of_2009_whose_words_are_texts(tmp_path: Path) -> None:
    text = "a: [yes, no, on, 2024-01-01, 010, 1:20, 1e3, .5, true, null, ~, '1', 0x1]\nb:\nc: &x {k: 1}\nd: *x"
    assert data_of(tmp_path, text).data == {
        "a": ["yes", "no", "on", "2024-01-01", 10, "1:20", 1000.0, 0.5, True, None, None, "1", "0x1"],
        "b": None,
        "c": {"k": 1},
        "d": {"k": 1},
    }
    file = data_of(tmp_path, '{\n\t"a": [\n\t\t1,\n\t\t{"b": "yes"}]}', "x.json")
    assert file.data == {"a": [1, {"b": "yes"}]} and file.lines["a[1].b"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: 'a' is in line 1 already"),
        ("a: [1, 2", "x.yaml:1:9: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "x.yaml:1:5: mapping values are not allowed here"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "x.yaml:1:4: the tag !!python/object/apply:os.system is not supported",
        ),
        ("? [1]\n: 2", "x.yaml:1:3: a name must be text"),
        ("a: &x [*x]", "x.yaml:1:4: a value cannot contain itself"),
        ("[" * 5000, "x.yaml is nested too deeply"),
        ("", "x.yaml is empty"),
        ("--- 1\n--- 2", "x.yaml:2:1: but found another document"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        data_of(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path}/{words}")
