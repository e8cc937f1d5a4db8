# SPDX-License-Identifier: Apache-2.0
"""Eight pages as their readers do them: files saved, commands typed on a real mesh, and every output compared.

`tutorial` and `grpcurl` are longer: each is a module.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from nervenet.dev.servers import free_port
from tests.docs.blocks import Block, Command, banners, blocks, check, commands, runs_on, save, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT, clean_environment
from tests.support.mesh import ProcessMesh
from tests.support.processes import Process
from tests.support.waiting import wait_until

README, CLI, DECLARED, ERRORS, DEPLOY, FASTAPI, HTTP, SECURITY, ARCHIVE = (
    ROOT / page
    for page in ("README.md", "docs/cli.md", "docs/howto/declared.md", "docs/errors.md", "docs/deploy-story.md",
                 "docs/howto/fastapi.md", "docs/http.md", "docs/security.md", "docs/howto/archive.md")
)  # fmt: skip


def outside(dev: Dev) -> ProcessMesh:
    """For processes of production, on the servers of that mesh."""
    folder = dev.folder / "outside"
    folder.mkdir()
    return ProcessMesh(folder, dev.facts["redis"], dev.facts["etcd"][0], app=str(dev.app))


# ── README ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def readme(folder: Path) -> None:
    """The Hello: its file run by `nervenet dev`, its commands typed, its production told on the same servers."""
    hello = blocks(README, "python")[0]
    with Dev(folder, hello.text, app=hello.file) as dev:
        ours = clean_environment(NERVENET_ADDRESS=dev.address)
        ran = [command for command in commands(README) if not runs_on(command)]
        for command in ran:
            line = command.line.replace("localhost:7700", dev.address)
            done = subprocess.run(line, shell=True, cwd=folder, env=ours, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if command.shows:
                assert done.stdout == command.shows, line
            if line.startswith("grpcurl"):
                assert json.loads(done.stdout)["workflow"]["output"] == {"value": ["Hello, Joan"]}
        assert len(ran) == 3
        _production(dev)


def _production(dev: Dev) -> None:
    told = [command.line for command in commands(README) if runs_on(command)]
    (export,) = (line for line in told if line.startswith("export "))
    assert re.findall(r"(\w+)=", export) == ["NERVENET_REDIS", "NERVENET_ETCD"]
    assert "nervenet node hello.py" in told
    (agent,) = (line for line in told if line.startswith("nervenet agent hello.py "))
    with outside(dev) as host:
        host.up(host.node())
        host.up(host.agent(*agent.split()[3:]))
        assert json.loads(host.run("start", "welcome", '["Joan"]', "--wait").stdout) == ["Hello, Joan"]


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def command_line(folder: Path) -> None:
    """Every command in its order on one mesh, and what its processes say when they start."""
    source = blocks(CLI, "python")[0].text
    with Dev(folder, source, app="letters.py") as letters:
        typed = [command for command in commands(CLI) if not runs_on(command)]
        assert len(typed) > 15
        for command in typed:
            check(command, folder, letters.address)
        shown = {command.line.split()[1]: command for command in commands(CLI)}
        assert steady(banners(letters.log)[0]) == steady(shown["dev"].shows)
        with outside(letters) as host:
            (node,) = host.up(host.node())
            (agent,) = host.up(host.agent("--only", "draft", "--name", "writer"))
            for role, name in ((node, "node"), (agent, "agent")):
                line = next(line for line in role.log.splitlines() if not line.startswith("{"))
                assert steady(line) == steady(shown[name].shows)


# ── workflows as data ────────────────────────────────────────────────────────────────────────────────────────────────


def declared(folder: Path) -> None:
    """The files of the page, and every command in its order on one mesh."""
    save(blocks(DECLARED), folder)
    with Dev(folder, (folder / "shop.py").read_text(encoding="utf-8"), "--no-reload") as shop:
        typed = commands(DECLARED)
        assert len(typed) > 10
        for command in typed:
            check(command, folder, shop.address)


# ── the archive ──────────────────────────────────────────────────────────────────────────────────────────────────────


def archive(folder: Path) -> None:
    """The page's mesh with its settings, and every command in its order. What only looks is typed again until it is so."""
    (app,) = [block for block in blocks(ARCHIVE) if block.file]
    dev = Dev(folder, app.text, app=app.file)
    (started,) = [block.text for block in blocks(ARCHIVE, "text") if "nervenet dev" in block.text]
    settings = dict(re.findall(r"(NERVENET_\w+)=(\S+)", started))
    dev.environment |= {name: value.replace("$PWD", str(folder)) for name, value in settings.items()}
    with dev as mesh:
        typed = commands(ARCHIVE)
        assert len(typed) > 4
        for command in typed:
            check(command, folder, mesh.address, again=" start " not in command.line, of=mesh)


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def http(folder: Path) -> None:
    """Every command of curl in its order on one mesh."""
    (app,) = blocks(HTTP, "python")
    with Dev(folder, app.text, app=app.file) as letters:
        typed = [command for command in commands(HTTP) if not runs_on(command)]
        assert len(typed) > 6
        for command in typed:
            line = command.line.replace("localhost:7701", letters.facts["http"][0])
            check(command, folder, letters.address, line=line, form=_sorted_events, of=letters)


def _sorted_events(text: str) -> str:
    """Steady. The first answers of several reads come in any order."""
    return "\n\n".join(sorted(re.split(r"\n\n+", steady(text.replace("\r", "")))))


# ── the most likely mistakes ─────────────────────────────────────────────────────────────────────────────────────────


def without_chance(text: str) -> str:
    """Steady, and without hashes and numbers drawn by chance."""
    return steady(re.sub(r"\b1\.\d{6,}", "CHANCE", re.sub(r"\b[0-9a-f]{12}\b", "HASH", text)))


def mistake(command: Command, folder: Path, address: str) -> None:
    """Made on a port that is free here, in a folder that the page calls /home/ana."""
    line = command.line.replace("localhost:7799", f"localhost:{free_port()}")
    line = line.replace("dev app.py", "dev app.py --port 0")
    form = partial(_said_in, folder)
    check(command, folder, address, line=line, form=form, again=" show " in line)


def _said_in(folder: Path, text: str) -> str:
    return without_chance(text.replace(str(folder), "/home/ana"))


def errors(folder: Path) -> None:
    """What a user sees is what the page shows, word for word."""
    mesh, alone = folder / "mesh", folder / "alone"
    mesh.mkdir()
    alone.mkdir()
    (mesh / "book.json").write_text(json.dumps(["x" * 2_000_000]))
    wrong = blocks(ERRORS, "py")
    with Dev(mesh, blocks(ERRORS, "python")[0].text) as dev:
        for command in commands(ERRORS):
            if command.line == "nervenet dev app.py":
                (alone / "app.py").write_text(wrong.pop(0).text)
                mistake(command, alone, dev.address)
            else:
                mistake(command, mesh, dev.address)
    assert not wrong
    numbered = re.findall(r"^## (\d+)\.", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in numbered] == [*range(1, 12)]


# ── the story of a deploy ────────────────────────────────────────────────────────────────────────────────────────────

OFTEN = ("nervenet show", "nervenet list", "nervenet replay")
"""Commands that only look: asked again until the mesh has come to where the page says that it is."""


def changed(source: str, diff: Block) -> str:
    """The source with a block of `diff` done to it."""
    lines = diff.text.splitlines()
    before = "\n".join(line[1:] for line in lines if line[0] in " -")
    after = "\n".join(line[1:] for line in lines if line[0] in " +")
    assert source.count(before) == 1, f"line {diff.line} does not fit"
    return source.replace(before, after)


def without_adoptions(text: str) -> str:
    """How often a run is adopted depends on which node learns first that the other goes."""
    return steady(re.sub(r" \(adopted \w+( times)?\)", "", text))


def deploy_story(folder: Path) -> None:
    """Real processes, and code that changes under a run."""
    first, (insert, guard) = blocks(DEPLOY, "python")[0], blocks(DEPLOY, "diff")
    forgetful = changed(first.text, insert)
    deploys = [(insert.line, forgetful), (guard.line, changed(forgetful, guard))]
    here, beside = folder / "here", folder / "next"
    here.mkdir()
    beside.mkdir()
    (beside / "app.py").write_text(forgetful)
    with Dev(here, first.text) as dev:
        for command in commands(DEPLOY):
            # A change is deployed behind its block; of the first one, what is in another folder is asked before that.
            if deploys and command.at > deploys[0][0] and "../next" not in command.line:
                dev.app.write_text(deploys.pop(0)[1])
            looks = command.line.startswith(OFTEN)
            check(command, dev.folder, dev.address, form=without_adoptions, again=looks, of=dev)
    assert not deploys


# ── FastAPI ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def fastapi(folder: Path) -> None:
    """The page's `web.py` behind uvicorn, as it says, beside a mesh of the tutorial's `desk.py`."""
    files = [*blocks(ROOT / "docs/tutorial.md", "python"), *blocks(FASTAPI, "python")]
    save(
        [one for one in files if one.file in ("llm.py", "desk.py", "web.py")], folder
    )  # the second desk.py replaces the first
    with (
        Dev(folder, (folder / "desk.py").read_text(), app="desk.py") as dev,
        _served(folder, dev.address) as url,
        httpx.Client(base_url=url, timeout=30) as browser,
    ):
        assert "uvicorn web:app" in FASTAPI.read_text(encoding="utf-8")
        started = browser.put("/orders/9/reply")
        assert (started.status_code, started.json()) == (202, {"id": "order-9", "created": True})
        assert browser.put("/orders/9/reply").json() == {"id": "order-9", "created": False}
        with browser.stream("GET", "/orders/9/tokens") as tokens:
            said = ""
            for token in tokens.iter_text():
                said += token
                if "tomorrow" in said:
                    break
        assert said.startswith("Dear customer, your order 9 left")
        waits = {"state": "WAITING_FOR_HUMAN", "view": None}
        wait_until(lambda: browser.get("/orders/9/reply").json() == waits, "the order waits for a human")
        gone = {"detail": "there is no workflow 'order-10' in namespace default"}
        for path in ("/orders/10/reply", "/orders/10/tokens"):
            unknown = browser.get(path)
            assert (unknown.status_code, unknown.json()) == (404, gone)


@contextmanager
def _served(folder: Path, address: str) -> Iterator[str]:
    command = [sys.executable, "-m", "uvicorn", "web:app", "--port", "0"]
    server = Process(command, folder / "uvicorn.log", clean_environment(NERVENET_ADDRESS=address), cwd=folder)
    try:
        yield wait_until(lambda: re.search(r"running on (http://\S+)", server.log), "uvicorn serves", 30, server)[1]
    finally:
        server.kill(signal.SIGTERM)
        server.wait(15)
    assert "Traceback" not in server.log, server.log


# ── security ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def security(folder: Path) -> None:
    """Its commands that need no mesh, in their order. A line of the page that ends with `…` is the beginning of what is printed.

    `policy check` gets the policy of the page with the mistake that it tells, `policy explain` the policy itself.
    """
    policy = next(block.text for block in blocks(SECURITY, "yaml") if block.text.startswith("version: 1"))
    for command in commands(SECURITY):
        is_wrong = "policy check" in command.line
        (folder / "policy.yaml").write_text(policy.replace("namespaces", "namespace", 1) if is_wrong else policy)
        code = 2 if is_wrong else 1 if "policy explain" in command.line else 0
        said = subprocess.run(
            command.line, shell=True, cwd=folder, env=clean_environment(), capture_output=True, text=True
        )
        assert said.returncode == code, f"{command.line}\n{said.stdout}{said.stderr}"
        printed = _without_secrets(said.stderr + said.stdout).split("\n")
        for line in filter(None, _without_secrets(command.shows).split("\n")):
            begins, cut, _ = line.partition("…")
            assert any(one.startswith(begins) if cut else one == line for one in printed), f"{command.line}\n{line}"


def _without_secrets(text: str) -> str:
    """What is another one each time: tokens, hashes and ends."""
    text = re.sub(r"nnt_[\w-]{43}", "TOKEN", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", re.sub(r"sha256:[0-9a-f]{64}", "HASH", text))
