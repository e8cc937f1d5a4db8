# SPDX-License-Identifier: Apache-2.0
"""`nervenet dev` in real processes: killed with -9 it leaves nothing behind but its data, from which it goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.dev import Dev
from tests.support.environment import NERVENET, is_running

APP = """
from pathlib import Path
from nervenet import Context, Mesh, Signal, Task

mesh = Mesh("story")
go = Signal[str]("go", str)


@mesh.agent
async def note(task: Task, word: str) -> str:
    with Path("effects.txt").open("a") as file:
        file.write(f"{word} ")
    return f"{word}!"


@mesh.workflow
async def tale(ctx: Context, name: str) -> list[str]:
    first = await ctx.call(note, name)
    word = await ctx.receive(go)
    return [first, await ctx.call(note, word)]
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def test_killed_in_mid_workflow_and_started_again_the_workflow_ends(tmp_path: Path) -> None:
    with Dev(tmp_path, APP) as dev:
        assert dev.run("start", "tale", '"once"', "--id", "tale-1").stdout == "tale-1\n"
        dev.wait_for(lambda: "task:note" in dev.run("show", "tale-1", "--journal", "--json").stdout, "at its signal")
        children = [pid for pids in dev.facts["pids"].values() for pid in pids]
        dev.kill(signal.SIGKILL)
        dev.wait()
        dev.log.write_text("")
        dev.start()
        assert not any(map(is_running, children)), "roles must die with their supervisor"
        assert "(1 workflow continues)" in dev.log.read_text()
        assert dev.run("signal", "tale-1", "go", '"again"').returncode == 0
        ended = dev.run("result", "tale-1", "--timeout", "30s")
        assert (ended.returncode, ended.stdout) == (0, '["once!","again!"]\n'), ended.stderr + dev.log.read_text()
        assert (tmp_path / "effects.txt").read_text() == "once again "


def test_one_folder_one_mesh_and_reload_on_save(tmp_path: Path) -> None:
    with Dev(tmp_path, APP, "--nodes", "2") as dev:
        assert set(dev.facts) == {"grpc", "http", "dashboard", "metrics", "redis", "etcd", "namespace", "pids"}
        assert len(dev.facts["metrics"]) == 3
        for address in dev.facts["metrics"]:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
                assert b"nervenet_build_info" in page.read()
        assert len(dev.facts["grpc"]) == len(dev.facts["pids"]["nodes"]) == 2
        second = dev.run("dev", "app.py", "--port", "0")
        assert second.returncode == 4 and "is used by another nervenet dev (pid" in second.stderr

        before, addresses = dev.facts["pids"], dev.facts["grpc"]
        dev.app.write_text(APP.replace("return f", "retrun f"))
        dev.wait_for(lambda: "the previous code continues" in dev.log.read_text(), "told of the mistake")
        assert dev.facts["pids"] == before
        dev.app.write_text(APP.replace('"{word}!"', '"{word}?"'))
        dev.wait_for(lambda: "reloaded, 1 workflow, 1 agent" in dev.log.read_text(), "reloaded")
        assert dev.facts["grpc"] == addresses and not set(dev.facts["pids"]["nodes"]) & set(before["nodes"])

        victim = dev.facts["pids"]["agents"][0]
        os.kill(victim, signal.SIGKILL)
        dev.wait_for(lambda: dev.facts["pids"]["agents"] not in ([victim], []), "back with another agent")
        assert "agents was killed by SIGKILL: it starts again" in dev.log.read_text()
        dev.run("start", "tale", '"once"', "--id", "tale-2")
        dev.run("signal", "tale-2", "go", '"more"')
        assert dev.run("result", "tale-2", "--timeout", "30s").stdout == '["once?","more?"]\n'

        children = [pid for pids in dev.facts["pids"].values() for pid in pids]
        dev.kill(signal.SIGINT)
        assert dev.wait() == 0
        assert not any(map(is_running, children)) and not dev.ready_file.exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import nothing_like_it\n", "app.py:1: ModuleNotFoundError"),
        ("x = 1\n", "app.py has no mesh"),
    ],
)
def test_an_app_that_cannot_be_loaded_is_one_sentence(tmp_path: Path, source: str, says: str) -> None:
    dev = Dev(tmp_path, source)
    with pytest.raises(AssertionError, match="dev ended with 2"):
        dev.start()
    said = dev.log.read_text()
    assert says in said and "Traceback" not in said


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    dev = Dev(tmp_path, APP)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [*NERVENET, "dev", "app.py", "--port", port], cwd=tmp_path, env=dev.environment, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
    assert ran.returncode == 2 and f"port {port}: address already in use" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_second_ctrl_c_stops_now(tmp_path: Path) -> None:
    with Dev(tmp_path, APP.replace("return f", "import asyncio; await asyncio.sleep(60); return f")) as dev:
        dev.run("start", "tale", '"slow"', "--id", "tale-1")
        children = [pid for pids in dev.facts["pids"].values() for pid in pids]
        dev.kill(signal.SIGINT)
        dev.wait_for(lambda: "Draining" in dev.log.read_text(), "draining")
        dev.kill(signal.SIGINT)
        assert dev.wait(10) == 130
        assert not any(map(is_running, children)) and "Traceback" not in dev.log.read_text()
