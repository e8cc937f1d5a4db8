# SPDX-License-Identifier: Apache-2.0
"""What is wrong is said in one sentence, with the exit code that scripts rely on, and never with a traceback.

Settings that are missing or wrong, and servers that refuse: tests/cli/test_roles.py.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nervenet.cli import main
from nervenet.dev.servers import free_port
from tests.support.environment import NERVENET, ROOT, Result
from tests.support.mesh import STORIES, ProcessMesh, settled
from tests.support.waiting import until


@pytest.fixture(scope="module", autouse=True)
def processes(host: ProcessMesh) -> None:
    host.up(host.node())
    host.up(host.agent("--only", "note,say"))


@pytest.fixture(scope="module")
def silence() -> Iterator[str]:
    """An address that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        pytest.param(("start", "grete", "[]"), 3, ("grete", "greet"), id="unknown definition"),
        pytest.param(("start", "greet", "Ada"), 2, ('"Ada"',), id="a bare word"),
        pytest.param(("start", "greet", '{"names": ["Ada"'), 2, ("JSON",), id="half a JSON"),
        pytest.param(("start", "greet", "[]", "--id", "no {braces}"), 2, ("no {braces}",), id="an id that is none"),
        pytest.param(("show", "nobody-1"), 3, ("nobody-1",), id="show an unknown workflow"),
        pytest.param(("signal", "nobody-1", "go", '"x"'), 3, ("nobody-1",), id="signal an unknown workflow"),
        pytest.param(("cancel", "nobody-1"), 3, ("nobody-1",), id="cancel an unknown workflow"),
        pytest.param(("watch", "nobody-1"), 3, ("nobody-1",), id="watch an unknown workflow"),
        pytest.param(("result", "nobody-1"), 3, ("nobody-1",), id="result of an unknown workflow"),
        pytest.param(("list", "--next", "???"), 2, ("page_token",), id="malformed page token"),
        pytest.param(("list", "--next", "bm90aGluZw=="), 2, ("page_token",), id="page token of something else"),
        pytest.param(("escalations", "resolve", "nobody-1/ask", "--answer", "yes"), 3, ("nobody-1",), id="no question"),
    ],
)  # fmt: skip
def test_a_wrong_request(
    host: ProcessMesh,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    code: int,
    says: tuple[str, ...],
) -> None:
    """In this process: the tests below show that a process of its own ends with the same code."""
    monkeypatch.setenv("NERVENET_ADDRESS", host.addresses)
    monkeypatch.setenv("NERVENET_NAMESPACE", host.namespace)
    capfd.readouterr()
    found = main(command)
    out, err = capfd.readouterr()
    assert (found, out) == (code, ""), err
    assert "Traceback" not in err and all(words in err for words in says), err
    assert len(err.splitlines()) <= 3, err


def test_json_errors_are_statuses(host: ProcessMesh) -> None:
    answer = host.run("show", "nobody-1", "--json")
    status = json.loads(answer.stderr)
    assert (answer.returncode, status["code"], status["details"][0]["reason"]) == (3, 5, "WORKFLOW_NOT_FOUND")
    assert status["details"][0]["domain"] == "nervenet"


def test_input_of_another_type_is_refused_with_every_path_and_its_id_stays_free(host: ProcessMesh) -> None:
    answer = host.run("start", "greet", '["Ada", 7, null]', "--id", "typed-1")
    assert (answer.returncode, answer.stdout) == (2, ""), answer.stderr
    assert answer.stderr.splitlines() == [
        "nervenet: input[1]: input should be a valid string, got 7 (and 1 more)",
        "  input[2]: input should be a valid string, got None",
    ]
    assert host.run("show", "typed-1").returncode == 3, "nothing was started"
    status = json.loads(host.run("start", "greet", "[7]", "--json").stderr)
    assert status["details"][1]["fieldViolations"][0]["field"] == "input[0]"


def test_a_signal_that_the_code_does_not_receive_is_refused_unless_it_is_meant(host: ProcessMesh) -> None:
    assert host.run("start", "talk", '"x"', "--id", "talk-1").returncode == 0
    answer = host.run("signal", "talk-1", "goo", '"on"')
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == (
        "nervenet: signal: talk v1 receives no signal 'goo'; did you mean 'go'? (it receives go). "
        "Set `undeclared` to send it all the same\n"
    )
    answer = host.run("signal", "talk-1", "go", "7")
    assert (answer.returncode, answer.stderr) == (2, "nervenet: payload: input should be a valid string, got 7\n")
    assert host.run("signal", "talk-1", "goo", '"on"', "--undeclared").returncode == 0
    assert host.run("cancel", "talk-1").returncode == 0


def test_every_problem_of_a_definition_is_printed(host: ProcessMesh) -> None:
    wrong = (
        "name: 9 lives\nversion: 1\nsteps:\n- name: a\n  call: {capability: x y}\n  labels: {k: 7}\noutput: steps.b\n"
    )
    (host.folder / "wrong.yaml").write_text(wrong)
    answer = host.run("definitions", "put", str(host.folder / "wrong.yaml"))
    assert answer.returncode == 2
    places = [
        line.rpartition("wrong.yaml:")[2].partition(": ")[2].partition(":")[0] for line in answer.stderr.splitlines()
    ]
    assert places == ["steps[0].labels.k", "name", "steps[0].call.capability", "output"], answer.stderr


def test_a_payload_above_the_limit_is_refused_with_the_limit(host: ProcessMesh) -> None:
    big = json.dumps(["x" * (2 << 20)])
    answer = host.run("start", "greet", "-", "--id", "big-1", stdin=big)
    assert answer.returncode == 2 and "1 MiB" in answer.stderr and len(answer.stderr) < 500, answer.stderr
    assert host.run("show", "big-1").returncode == 3, "nothing was started"


def test_the_same_id_with_another_input(host: ProcessMesh) -> None:
    assert host.run("start", "greet", '["Ada"]', "--id", "same-1").returncode == 0
    assert host.run("start", "greet", '["Ada"]', "--id", "same-1").returncode == 0
    answer = host.run("start", "greet", '["Eve"]', "--id", "same-1")
    assert (answer.returncode, answer.stdout) == (4, "") and "same-1" in answer.stderr, answer.stderr


async def test_a_capability_that_nobody_serves_waits_in_the_queue_and_show_says_so(host: ProcessMesh) -> None:
    assert host.run("start", "orphan", '"x"', "--id", "orphan-1").returncode == 0
    async with host.client() as client:
        run = client.handle("orphan-1")
        await settled(run, "RUNNING", host)
        assert "no live agent serves it" in host.run("show", "orphan-1").stdout
        assert "nobody_serves_this" in host.run("agents", "list").stdout
        assert host.run("result", "orphan-1", "--timeout", "0.1s").returncode == 7
        await run.cancel("tired of waiting")
        await settled(run, "CANCELED", host)
    late = host.run("signal", "orphan-1", "go", '"late"')
    assert late.returncode == 4, late.stderr


def test_servers_and_nodes_that_do_not_answer(host: ProcessMesh, silence: str) -> None:
    """All at once: each of them waits for its own few seconds of patience."""
    nobody = f"127.0.0.1:{free_port()}"
    node = ("node", STORIES, "--listen", "127.0.0.1:0")

    def run(command: tuple[str, ...], **env: str) -> Result:
        return subprocess.run(
            [*NERVENET, *command], cwd=ROOT, env={**host.env, **env}, capture_output=True, text=True, timeout=60
        )

    asked = {
        "no node": (("list",), {"NERVENET_ADDRESS": nobody}),
        "a mute node": (("list",), {"NERVENET_ADDRESS": silence}),
        "mute Redis": (node, {"NERVENET_REDIS": f"redis://{silence}"}),
        "mute etcd": (node, {"NERVENET_ETCD": f"http://{silence}"}),
    }
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = dict(zip(asked, pool.map(lambda one: run(one[0], **one[1]), asked.values()), strict=True))
    for name, answer in answers.items():
        (setting,) = asked[name][1].values()
        where = setting.rpartition("/")[2]
        assert answer.returncode == 5, f"{name}: {answer.returncode}\n{answer.stderr}"
        assert answer.stdout == "" and "Traceback" not in answer.stderr, f"{name}: {answer.stderr}"
        assert where in answer.stderr.splitlines()[-1], f"{name}: {answer.stderr}"


async def test_an_agent_that_is_started_first_says_that_no_node_answers_and_waits_for_one(host: ProcessMesh) -> None:
    address = f"127.0.0.1:{free_port()}"
    early = host.agent("--only", "note", NERVENET_ADDRESS=address)
    await until(lambda: address in early.log, "it says whom it cannot reach", 20, host)
    assert "Traceback" not in early.log
    host.up(host.node(STORIES, "--listen", address), early)
