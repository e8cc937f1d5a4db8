# SPDX-License-Identifier: Apache-2.0
"""A forked process is what a started one is: nobody else's environment, folder, output, signals, exit code or end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import NERVENET, clean_environment
from tests.support.forked import ForkedProcess, ForkServers, can_fork, run_nervenet
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("EXEC")) or sys.platform != "linux", reason="this run starts interpreters"
)

APP = """
import json, os, signal, sys, threading, time
from pathlib import Path

facts = {"pid": os.getpid(), "session": os.getsid(0), "cwd": os.getcwd(), "mark": os.environ.get("MARK"), "main": __name__,
         "argv": sys.argv[1:], "threads": threading.active_count(), "stdin": sys.stdin.read(), "hash": hash("a word"),
         "files": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1], "tests": "tests" in sys.modules,
         "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler}
Path(facts["argv"][1]).with_suffix(".json").write_text(json.dumps(facts))
print("to its output", flush=True)
print("to its errors", file=sys.stderr)
while os.environ.get("MARK") == "stays":
    time.sleep(0.05)
sys.exit(7)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def facts_of(app: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((app / "app.json").read_text())
    return found


def environment(mark: str) -> dict[str, str]:
    return clean_environment(MARK=mark, NERVENET_REDIS="redis://127.0.0.1:1", NERVENET_ETCD="http://127.0.0.1:1")


def test_it_has_its_own_everything_as_a_started_one(app: Path) -> None:
    line, env = ["node", "app.py"], environment("one")
    forked = run_nervenet(line, stdin="typed", cwd=app, env=env, timeout=60)
    found = facts_of(app)
    started = subprocess.run([*NERVENET, *line], input="typed", cwd=app, env=env, capture_output=True, text=True)
    expected = facts_of(app)

    own = ("pid", "session", "hash")
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    assert {k: v for k, v in found.items() if k not in own} == {k: v for k, v in expected.items() if k not in own}
    assert found["pid"] == found["session"] != os.getpid()
    assert (forked.returncode, found["mark"], found["stdin"]) == (7, "one", "typed")


def test_it_is_killed_as_others_and_dies_with_its_server(app: Path) -> None:
    servers = ForkServers()
    with (app / "log").open("wb") as log:

        def start() -> ForkedProcess:
            files = (os.open(os.devnull, os.O_RDONLY), log.fileno(), log.fileno())
            (app / "app.json").unlink(missing_ok=True)
            process = servers.next().start(["node", "app.py"], files, app, environment("stays"))
            os.close(files[0])
            wait_until((app / "app.json").exists, "it runs")
            return process

        first, second, third = start(), start(), start()
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.01)
    first.kill()
    assert first.wait(20) == -signal.SIGKILL == first.poll()
    first.kill()  # nothing happens

    os.kill(second.pid, signal.SIGTERM)
    assert second.wait(20) == -signal.SIGTERM
    assert third.poll() is None
    servers.stop()
    wait_until(lambda: not Path(f"/proc/{third.pid}").exists(), "it is gone")


def test_two_of_them_differ_in_the_order_of_their_sets(app: Path) -> None:
    hashes = set()
    for _ in range(2):
        run_nervenet(["node", "app.py"], stdin=None, cwd=app, env=environment("one"), timeout=60)
        hashes.add(facts_of(app)["hash"])
    assert len(hashes) == 2


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "PYTHONPATH", "LC_ALL", "GRPC_VERBOSITY", "MALLOC_ARENA_MAX"])
def test_what_is_read_at_the_start_needs_a_start(name: str) -> None:
    assert can_fork(clean_environment())
    assert not can_fork(clean_environment(**{name: "4711"}))
