# SPDX-License-Identifier: Apache-2.0
"""What an operator reads at night: each state of a workflow says why, in words, in `list` and in `show`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nervenet import SyncClient, WorkflowFailed
from nervenet.dev.servers import Server
from tests.mesh import operations as ops
from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh
from tests.support.terminal import on_a_terminal
from tests.support.waiting import wait_until

STARTED: dict[str, tuple[Any, ...]] = {
    "order-7": (ops.order,),
    "nap-1": (ops.nap, 5),
    "letter-3": (ops.letter,),
    "abroad-2": (ops.abroad, "Guten Tag"),
    "crawl-9": (ops.crawls, "http://example.org"),
    "chat-4": (ops.chat, "Hello"),
    "scan-5": (ops.scans, "/var"),
    "prices-6": (ops.prices, 300),
}
THERE = ("retries ask_model", "retries scan", "crawl running", "item 14 has no price")
"""What `list` shows once everything has come to where it stays for minutes."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, shared_valkey: Server, shared_etcd: Server) -> Iterator[ProcessMesh]:
    """Two nodes, an agent for most things, and one that fails everything."""
    folder: Path = tmp_path_factory.mktemp("operations")
    with ProcessMesh(folder, shared_valkey.url, shared_etcd.url, app="tests/mesh/operations.py") as host:
        host.up(host.node(), host.node())
        good = host.agent("--only", "fetch,crawl,ask_model", "--name", "good")
        host.up(good, host.agent("--only", "scan", "--name", "bad"))
        with SyncClient(host.addresses, namespace=host.namespace) as client:
            for workflow_id, (workflow, *given) in STARTED.items():
                client.start(workflow, *given, id=workflow_id)
        wait_until(lambda: all(words in listed(host) for words in THERE), "all is where it stays", 60, host)
        yield host


@pytest.fixture(scope="module")
def page(host: ProcessMesh) -> str:
    """What `nervenet list` shows."""
    wait_until(lambda: " 1 failed." in host.run("list").stderr, "the states are counted", 30, host)
    return terminal(host, "list")


def terminal(host: ProcessMesh, line: str) -> str:
    """What a person at a terminal of 110 columns sees."""
    code, seen = on_a_terminal(f"nervenet {line}", ROOT, host.env | {"NERVENET_ADDRESS": host.addresses})
    assert code == 0, seen
    return seen


def listed(host: ProcessMesh, *filters: str) -> str:
    return host.run("list", *filters).stdout


def ids(host: ProcessMesh, *filters: str) -> set[str]:
    return {line.split()[0] for line in listed(host, *filters).splitlines()[1:]}


@pytest.mark.parametrize(
    ("workflow_id", "says"),
    [
        ("order-7", r"● running .* waits for signal paid, \d+ (s|min)$"),
        ("nap-1", r"● running .* sleeps until .*\d\d:\d\d"),
        ("letter-3", r"\? waiting .* asks a human: Send it\? \(due in 7 d\)"),
        ("abroad-2", r"● running .* translate queued \d+ (s|min): no live agent serves it"),
        ("crawl-9", r"● running .* crawl running \d+ (s|min) on good-\w{8}"),
        ("chat-4", r"● running .* retries ask_model in \d+ (s|min) after RateLimited: 429"),
        ("scan-5", r"● running .* retries scan in \d+ (s|min) after OSError: /var: the disk"),
        ("prices-6", r"✗ failed .* BadItem: item 14 has no price"),
    ],
)
def test_list_says_why(page: str, workflow_id: str, says: str) -> None:
    (line,) = (line for line in page.splitlines() if line.startswith(workflow_id + " "))
    assert re.search(says, line), line
    assert re.search(r"\d of \d: 6 running, 1 waiting for a human, \d failed\.", page), page


def test_list_finds_what_is_stuck_retried_or_waits_for_something(host: ProcessMesh) -> None:
    assert ids(host, "--waiting-for", "signal paid") == {"order-7"}
    assert ids(host, "--retrying") == {"chat-4", "scan-5"}
    assert ids(host, "--slow", "1ms") == set(STARTED) - {"prices-6"}
    assert ids(host, "--slow") == set()
    assert ids(host, "--stuck", "1ms", "--waiting-for", "no live agent") == {"abroad-2"}
    stuck = terminal(host, "list --stuck 1ms")
    assert re.search(r"crawl-9 .* crawl running without a sign of life for \d+ (s|min) on", stuck), stuck
    assert "No workflow" in host.run("list", "--stuck", "1h").stderr


@pytest.mark.parametrize(
    ("workflow_id", "says"),
    [
        ("order-7", [r"┄+ +waits for signal paid, \d+ (s|min)", r"┄+ +gives up at \d\d:\d\d"]),
        ("nap-1", [r"┄+ +sleeps until .*\d\d:\d\d"]),
        (
            "letter-3",
            [
                r"HUMAN",
                r"░+ +\? ask +[\d.]+ (s|min) +Send it\? \(due in 7 d\)",
                r"nervenet escalations resolve letter-3/ask",
            ],
        ),
        ("abroad-2", [r"QUEUED", r"┄+ +– translate +[\d.]+ (s|min) +waits: no live agent serves it"]),
        ("crawl-9", [r"RAN", r"━+ +● crawl +good-\w{8} .* 10 %"]),
        ("chat-4", [r"RETRY", r"·+ +– ask_model .* in \d+ (s|min) after RateLimited: 429"]),
        ("prices-6", [r"fetch ×300: 299 ✓ 1 ✗ → fetch.14", r"✗ fetch.14 +good-\w{8} .* BadItem: item 14"]),
    ],
)
def test_show_says_why_and_where_the_time_went(host: ProcessMesh, workflow_id: str, says: list[str]) -> None:
    seen = terminal(host, f"show {workflow_id}")
    for each in says:
        assert re.search(each, seen), seen


def test_one_command_finds_the_item_that_failed_its_line_and_its_input(host: ProcessMesh) -> None:
    seen = terminal(host, "show prices-6 --failed --input")
    assert re.search(r"fetch\.14: BadItem: item 14 has no price  on good-\w{8}", seen), seen
    assert re.search(r"at tests/mesh/operations\.py:\d+ in fetch: raise AgentError\(", seen), seen
    assert 'fetch.14 input {"n":14}' in seen.replace('": ', '":') and "fetch.15" not in seen
    one = host.run("show", "prices-6", "--input", "fetch.200")
    assert 'fetch.200 input {"n":200}' in one.stdout.replace('": ', '":'), one.stdout + one.stderr
    mistyped = host.run("show", "prices-6", "--input", "fetchh")
    assert mistyped.returncode == 3 and "did you mean fetch?" in mistyped.stderr
    pending = host.run("show", "abroad-2", "--input", "translate")
    assert 'translate input "Guten Tag"' in pending.stdout


def test_an_agent_that_fails_everything_is_seen_with_its_lines(host: ProcessMesh) -> None:
    failed = terminal(host, "show scan-5 --failed")
    assert re.search(r"scan: OSError: /var: the disk is full  on bad-\w{8}", failed), failed
    assert re.search(r"at tests/mesh/operations\.py:\d+ in scan: raise OSError", failed), failed
    share = r"bad-\w{8} .* [1-9]\d* % "  # agents tell it now and then
    wait_until(
        lambda: re.search(share, host.run("agents", "list").stdout), "the share of its failures is shown", 20, host
    )


def test_unread_signals_have_a_line(host: ProcessMesh) -> None:
    assert host.run("signal", "nap-1", "paid", '"early"', "--undeclared").returncode == 0
    wait_until(lambda: "1 signal paid unread" in host.run("show", "nap-1").stdout, "the signal is there", 20, host)
    assert re.search(r"1 signal paid unread, the oldest [\d.]+ (s|min)", terminal(host, "show nap-1"))


def test_a_full_node_says_so(tmp_path: Path, shared_valkey: Server, shared_etcd: Server) -> None:
    app = "tests/mesh/operations.py"
    with ProcessMesh(tmp_path, shared_valkey.url, shared_etcd.url, app=app, NERVENET_MAX_WORKFLOWS="1") as host:
        host.up(host.node())
        assert host.run("start", "nap", "1", "--id", "first").returncode == 0
        wait_until(lambda: "! full" in host.run("nodes", "list").stdout, "the node says that it is full", 30, host)
        refused = host.run("start", "nap", "1", "--id", "second")
        assert refused.returncode == 6 and "has as many workflows as it may" in refused.stderr, refused.stderr
        assert "1 of 1: 1 running." in host.run("list").stderr


def test_a_fan_out_of_thousands_is_shown_at_once(host: ProcessMesh) -> None:
    """How long it takes the parts is in tests/services/test_history.py."""
    with SyncClient(host.addresses, namespace=host.namespace) as client:
        run = client.start(ops.prices, 2000, id="prices-2000")
        with pytest.raises(WorkflowFailed):
            run.result(timeout=90)
    seen = terminal(host, "show prices-2000")
    assert "fetch ×2000: 1999 ✓ 1 ✗ → fetch.14" in seen and len(seen.splitlines()) < 10
    assert len(host.run("show", "prices-2000").stdout.splitlines()) > 2000  # a pipe gets everything
    slowest = terminal(host, "show prices-2000 --slowest 3")
    assert len(re.findall(r"✓ fetch", slowest)) == 3, slowest
