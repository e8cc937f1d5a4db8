# SPDX-License-Identifier: Apache-2.0
"""The dashboard on a large mesh: how fast its views open, whether long lists scroll, and what idle pages cost a node.

    make bench-dashboard                          # about 4 minutes: 10,000 workflows, 500 agents, 5,000 steps, 50 pages
    make bench-dashboard ARGS="--workflows 1000 --agents 50 --steps 500 --seconds 10"

Two nodes and two agent processes; the other agents are registered by hand, each with a heartbeat stream of its own. Each view is
opened several times in a browser that has nothing in its cache. The time counts from the beginning of the navigation until the
view has its numbers and rows. `scroll` is the time between two pictures while the list of all steps is scrolled: 17 ms is smooth.
An idle page is the very request that the page keeps open on its Overview, 50 times; its cost is the processor time of the
node beyond that of the same node with no page.

Writes build/bench/dashboard.json. Exits with 1 if a view takes longer than a second, or 50 pages cost more than 5 % of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.rpc.methods import METHODS
from tests.dashboard import desk
from tests.dashboard.conftest import DESKTOP, in_a_loop_of_its_own
from tests.dashboard.states import DESK, Desk, in_state, open_desk
from tests.support.mesh import ProcessMesh, mesh_alone

OUT: Final = Path("build/bench/dashboard.json")
TICK_MS: Final = 1000 / os.sysconf("SC_CLK_TCK")
TIMES: Final = 5
BATCH: Final = 500
LETTERS: Final = str.maketrans("0123456789", "abcdefghij")
"""An id of an agent has no digits below 2."""
LIMIT_MS: Final = 1000
LIMIT_SHARE: Final = 0.05
SCROLLED: Final = """async () => {
  const list = document.querySelector(".virtual");
  const gaps = [];
  let last = performance.now();
  for (let at = 0; at < 120; at++) {
    list.scrollTop = (list.scrollHeight / 120) * at;
    await new Promise(requestAnimationFrame);
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  return gaps.sort((a, b) => a - b)[Math.floor(gaps.length * 0.95)];
}"""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


# ── a large mesh ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def fill(mesh: ProcessMesh, workflows: int, steps: int) -> None:
    """Nineteen of twenty workflows have ended; the others wait for a signal."""
    async with mesh.client() as client:
        for first in range(0, workflows, BATCH):
            ids = range(first, min(first + BATCH, workflows))
            await client.start_many(desk.tally, {f"tally-{each}": 0 for each in ids if each % 20})
            await client.start_many(desk.reminder, {f"reminder-{each}": 3 for each in ids if not each % 20})
        await client.start(desk.tally, steps, id="long")
        await in_state(client, "long", "SUCCEEDED")


@contextmanager
def registered(mesh: ProcessMesh, number: int) -> Iterator[None]:
    """Agents by hand, with their heartbeats, in a thread of their own."""
    import threading

    ready, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_agents(mesh, number, ready, end)), daemon=True)
    thread.start()
    assert ready.wait(120), "the agents are registered"
    yield
    end.set()
    thread.join(30)


async def _agents(mesh: ProcessMesh, number: int, ready: Any, end: Any) -> None:
    config = Config.load(environ={}, address=mesh.addresses, namespace=mesh.namespace)
    async with RawClient(config) as raw:
        capabilities = [
            {"name": name, "version": "1", "slots": 8, "input_schema": '{"type": "string"}'}
            for name in ("look", "read", "sort")
        ]
        leases = {}
        for each in range(number):
            agent = {
                "agent_id": f"made-{each:08d}".translate(LETTERS),
                "name": "made",
                "capabilities": capabilities,
                "state": "AGENT_STATE_ACTIVE",
                "slots": 8,
            }
            answer = await raw.call("RegisterAgent", agent=agent)
            leases[agent["agent_id"]] = (answer.lease_id, answer.heartbeat_interval.ToMilliseconds() / 1000)
        beats = [asyncio.create_task(_beat(raw, agent_id, *lease)) for agent_id, lease in leases.items()]
        await asyncio.sleep(2)
        ready.set()
        while not end.is_set():
            await asyncio.sleep(0.2)
        for beat in beats:
            beat.cancel()


async def _beat(raw: RawClient, agent_id: str, lease: int, every: float) -> None:
    call = raw.nodes.channel()["Heartbeat"](metadata=raw.nodes.metadata())
    first = {"agent_id": agent_id, "lease_id": lease}
    while True:
        await call.write(METHODS["Heartbeat"].request(**first, load={"slots": 8}))
        await call.read()
        first = {}
        await asyncio.sleep(every)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def opening_ms(browser: Browser, address: str, place: str, ready: str) -> float:
    """Until `ready` (a condition in the page) holds, in a browser that has seen nothing yet."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{address}/#/{place}", wait_until="commit")
    page.wait_for_function(f"() => {ready}", timeout=60_000)
    took: float = page.evaluate("performance.now()")
    context.close()
    return took


def openings(browser: Browser, address: str, place: str, ready: str) -> dict[str, float]:
    took = [opening_ms(browser, address, place, ready) for _ in range(TIMES)]
    return {"median_ms": round(statistics.median(took)), "slowest_ms": round(max(took))}


def scrolling_ms(page: Page, address: str) -> float:
    page.goto(f"{address}/#/workflows/long")
    page.locator(".step-row.fold").click()
    page.wait_for_function("() => document.querySelectorAll('.step-row').length > 10")
    gap: float = page.evaluate(SCROLLED)
    return round(gap, 1)


def cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def share_of_a_core(pid: int, seconds: float) -> float:
    before, began = cpu_ms(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_ms(pid) - before) / 1000 / (time.monotonic() - began)


def live_request(page: Page, address: str) -> str:
    """What the Overview keeps open."""
    with page.expect_request(
        lambda request: request.url.endswith("/live") and len(request.post_data or "") > 300
    ) as found:
        page.goto(f"{address}/#/overview")
        page.reload()
    return str(found.value.post_data)


@contextmanager
def idle_pages(address: str, body: str, number: int) -> Iterator[None]:
    """Streams as pages keep them open; what comes is read and thrown away."""
    import threading

    host = address.removeprefix("http://")
    connections = []
    for _ in range(number):
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/live", body, {"Content-Type": "application/json"})
        connections.append((connection, connection.getresponse()))
    for _, response in connections:
        assert response.status == 200, response.read()
        threading.Thread(target=_drain, args=(response,), daemon=True).start()
    yield
    for connection, _ in connections:
        if connection.sock is not None:
            connection.sock.close()


def _drain(response: http.client.HTTPResponse) -> None:
    try:
        while response.read1(65536):
            pass
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        pass  # it was closed: the measurement is over


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────────

VIEWS: Final[dict[str, tuple[str, str]]] = {
    "Overview": ("overview", "document.querySelectorAll('.state-tile').length === 8 && document.querySelector('canvas') && document.querySelector('.figures-row')"),
    "Workflows": ("workflows", "document.querySelectorAll('tbody tr').length >= 50"),
    "Agents and nodes": ("agents", "document.querySelectorAll('tbody tr').length >= 50"),
    "A workflow with all steps": ("workflows/long", "document.querySelector('.step-row')"),
}  # fmt: skip


def measure(found: Desk, browser: Browser, seconds: float, pages: int) -> dict[str, Any]:
    report: dict[str, Any] = {name: openings(browser, found.address, *view) for name, view in VIEWS.items()}
    page = browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
    report["scroll_p95_ms"] = scrolling_ms(page, found.address)
    body = live_request(page, found.address)
    page.close()
    node = found.nodes[0].pid
    time.sleep(3)
    alone = share_of_a_core(node, seconds)
    with idle_pages(found.address, body, pages):
        time.sleep(3)
        watched = share_of_a_core(node, seconds)
    time.sleep(3)
    alone = (alone + share_of_a_core(node, seconds)) / 2
    report["idle"] = {
        "pages": pages,
        "node_alone": round(alone, 4),
        "node_with_pages": round(watched, 4),
        "cost": round(watched - alone, 4),
    }
    return report


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"workflows": 10_000, "agents": 500, "steps": 5_000, "pages": 50, "seconds": 30}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    with ExitStack() as stack:
        mesh = stack.enter_context(mesh_alone(DESK))
        found = open_desk(mesh)
        say(f"starting {args.workflows} workflows, {args.agents} agents, one workflow of {args.steps} steps")
        in_a_loop_of_its_own(lambda: fill(mesh, args.workflows, args.steps))
        stack.enter_context(registered(mesh, args.agents))
        say("measuring")
        browser = stack.enter_context(chromium())
        report = measure(found, browser, args.seconds, args.pages)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(vars(args) | report, indent=1) + "\n")
    return conclude(report)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        yield browser
        browser.close()


def conclude(report: dict[str, Any]) -> int:
    slow = [name for name in VIEWS if report[name]["median_ms"] > LIMIT_MS]
    for name in VIEWS:
        print(f"{name:28} {report[name]['median_ms']:6} ms  (slowest of {TIMES}: {report[name]['slowest_ms']} ms)")
    idle = report["idle"]
    print(f"{'scrolling, p95':28} {report['scroll_p95_ms']:6} ms between two pictures")
    print(
        f"{idle['pages']} idle pages cost the node {idle['cost']:.1%} of a core (with {idle['node_with_pages']:.1%}, without {idle['node_alone']:.1%})"
    )
    for name in slow:
        print(f"{name} takes longer than {LIMIT_MS} ms", file=sys.stderr)
    is_dear = idle["cost"] > LIMIT_SHARE
    if is_dear:
        print(f"idle pages cost more than {LIMIT_SHARE:.0%} of a core", file=sys.stderr)
    return int(bool(slow) or is_dear)


if __name__ == "__main__":
    sys.exit(main())
