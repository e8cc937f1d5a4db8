# SPDX-License-Identifier: Apache-2.0
"""`replay`, `journal export`, `call` and `completion` against a real mesh, and a code change that is found before it is deployed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nervenet.cli import main
from nervenet.testing import Journal
from tests.cli.test_commands import Ran, Run
from tests.support.dev import Dev
from tests.support.environment import NERVENET

APP = """
import random
from nervenet import AgentError, CallOptions, Context, Mesh, RetryPolicy, Signal

mesh = Mesh("code")
go = Signal("go", str)


@mesh.agent
async def first(n: int) -> int:
    return n + 1


@mesh.agent
async def second(n: int) -> int:
    return n * 2


@mesh.agent
async def broken(n: int) -> int:
    raise AgentError("no", retryable=False)


@mesh.workflow
async def steps(ctx: Context, n: int) -> int:
    n = await ctx.call(first, n)
    await ctx.receive(go)
    return await ctx.call(second, n + ctx.random.randrange(1))
"""
CHANGED = APP.replace("await ctx.call(first, n)", "await ctx.call(second, n)")
RENAMED = APP.replace("async def steps", "async def stages").replace("@mesh.workflow", "@mesh.workflow(version=2)")

pytestmark = pytest.mark.xdist_group("cli-code")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "changed.py").write_text(CHANGED)
    (folder / "renamed.py").write_text(RENAMED)
    with Dev(folder, APP, "--no-reload") as dev:
        yield dev


@pytest.fixture
def run(dev: Dev, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NERVENET_ADDRESS", dev.address)
    monkeypatch.chdir(dev.folder)

    def run(*line: str) -> Ran:
        capfd.readouterr()
        code = main(line)
        out, err = capfd.readouterr()
        assert "Traceback" not in err, err
        return Ran(code, out, err)

    return run


def test_what_is_in_flight_is_held_against_the_code_before_a_deploy(run: Run, dev: Dev) -> None:
    assert run("start", "steps", "1", "--id", "s-1").code == 0
    dev.wait_for(lambda: "task:first" in run("show", "s-1", "--journal", "--json").out, "at its signal")
    ran = run("replay", "app.py", "--running")
    assert (ran.code, ran.out, ran.err) == (0, "", "✓ 1 journal agrees with app.py.\n")

    ran = run("replay", "changed.py", "--running")
    assert ran.code == 1 and ran.err == "1 of 1 journal would not continue with changed.py.\n"
    assert "✗ s-1 is BLOCKED: the code and the journal disagree" in ran.out and "changed.py:" in ran.out
    assert "task:first" in ran.out and "≠  task:second" in ran.out

    ran = run("replay", "renamed.py", "--running")
    assert ran.code == 0 and "1 workflow of other apps left out" in ran.err
    assert "RUNNING" in run("show", "s-1", "--json").out  # nothing was changed

    assert run("signal", "s-1", "go", '"on"').code == 0 and run("result", "s-1").out == "4\n"


def test_a_journal_becomes_a_file_that_the_test_kit_reads(run: Run, dev: Dev) -> None:
    assert run("start", "steps", "20", "--id", "s-20").code == 0 and run("signal", "s-20", "go", '"on"').code == 0
    assert run("result", "s-20").out == "42\n"
    exported = run("journal", "export", "s-20")
    file = dev.folder / "journals" / "s-20.json"
    file.parent.mkdir()
    file.write_text(exported.out)
    journal = Journal.load(file)
    assert journal.workflow_id == "s-20" and journal.names[0] == "start" and journal.names[-1] == "close"
    assert exported.err == "" and run("journal", "export", "nobody").code == 3

    assert run("replay", "app.py", str(file)).code == 0
    ran = run("replay", "changed.py", str(file), str(file), "--json")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 1 and [one["agrees"] for one in found] == [False, False]
    ran = run("replay", "renamed.py", str(file))
    assert ran.code == 1 and "it is of steps v1, and mesh code has no workflow with this name" in ran.out


def test_what_is_no_journal_and_what_is_not_said_are_usage_errors(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}')
    ran = run("replay", "app.py", str(tmp_path / "x.json"))
    assert ran.code == 2 and "x.json is not a journal" in ran.err and "nervenet journal export ID > FILE" in ran.err
    assert run("replay", "app.py", "missing.json").code == 2
    assert run("replay", "app.py").code == run("replay", "app.py", "x.json", "--running").code == 2


def test_call_is_one_task_and_the_same_request_is_the_same_one(run: Run) -> None:
    ran = run("call", "second", "21", "--request-id", "r-1")
    assert (ran.code, ran.out) == (0, "42\n") and "✓ task/r-1" in ran.err
    assert run("call", "second", "21", "--request-id", "r-1").out == "42\n"
    other = run("call", "second", "22", "--request-id", "r-1")
    assert other.code == 4 and "'r-1' was used before: a task with another capability or input" in other.err
    ran = run("call", "broken", "1", "--label", "team=legal")
    assert ran.code == 1 and "AgentError: no" in ran.err
    late = run("call", "nobody", "1", "--request-id", "r-2", "--timeout", "0.2s")
    assert late.code == 7 and "To keep waiting: nervenet result task/r-2" in late.err
    assert run("cancel", "task/r-2").code == 0


def offered(dev: Dev, tmp_path: Path, line: str) -> list[str]:
    """What `nervenet` answers to a shell, in argcomplete's protocol."""
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "NERVENET_ADDRESS": dev.address,
    }  # fmt: skip
    done = subprocess.run(
        NERVENET, cwd=tmp_path, env=dev.environment | asked, capture_output=True, text=True, check=True
    )
    assert not done.stdout and not done.stderr
    return answer.read_text().split("\n")


def test_tab_knows_commands_flags_and_what_is_in_the_mesh(run: Run, dev: Dev, tmp_path: Path) -> None:
    assert run("start", "steps", "1", "--id", "tab:1").code == 0
    for line, words in {
        "agents d": ["describe", "drain"],
        "list --sta": ["--state"],
        "list --state failed,b": ["failed,blocked"],
        "completion f": ["fish"],
        "start steps --color al": ["always"],
        "start st": ["steps"],
        "call ": ["broken", "first", "second"],
        "agent app.py --only first,s": ["first,second"],
        "signal t": ["tab:1"],
        "cancel tab:": ["1"],  # bash splits words at colons
        "--address 127.0.0.1:1 show ": [""],
    }.items():
        for _ in range(20):  # the mesh has 0.3 s to answer, and a machine that runs tests may need longer
            if (found := sorted(offered(dev, tmp_path, f"nervenet {line}"))) == words:
                break
        assert found == words, line
    assert {"start", "agents", "replay"} <= set(offered(dev, tmp_path, "nervenet "))
    for line, word in {"show ": "tab:1", "agents describe code-": "code-"}.items():
        assert any(offered(dev, tmp_path, f"nervenet {line}")[0].startswith(word) for _ in range(20)), line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_s_script_completes(dev: Dev, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    script = subprocess.run([*NERVENET, "completion", shell], capture_output=True, text=True, check=True).stdout
    (tmp_path / "script").write_text(script)
    (tmp_path / "nervenet").write_text(f'#!/bin/sh\nexec {" ".join(NERVENET)} "$@"\n')
    (tmp_path / "nervenet").chmod(0o755)
    program = {
        "bash": 'source script; COMP_LINE="nervenet agents d" COMP_POINT=17; _python_argcomplete nervenet; '
        'echo "${COMPREPLY[@]}"',
        "zsh": "zsh -n script && echo describe drain",  # its completion needs a terminal
        "fish": "source script; complete -C 'nervenet agents d' | string join ' '",
    }[shell]
    done = subprocess.run(
        [shell, "-c", program], cwd=tmp_path, env=dev.environment | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "describe drain\n", done.stderr
