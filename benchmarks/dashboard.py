# SPDX-License-Identifier: Apache-2.0
"""The dashboard on a large mesh: how fast its views open, whether long lists scroll, and what idle pages cost a node.

    make bench-dashboard                          # about 4 minutes: 10,000 workflows, 500 agents, 5,000 steps, 50 pages
    make bench-dashboard ARGS="--workflows 1000 --agents 50 --steps 500 --seconds 10"

Two nodes and two agent processes; the other agents are registered by hand, each with a heartbeat stream of its own. Each view is
opened several times in a browser that has nothing in its cache. The time counts from the beginning of the navigation until the
view has its numbers and rows. Of the long workflow these are the line of all its steps with their counts; `unfolding` is the time
from a click on that line until the list of all steps is there. `scroll` is the time between two pictures while the list of all steps is scrolled: 17 ms is smooth.
Idle pages are 50 real pages that show the Overview; their cost is the processor time of the node beyond that of the same node
with no page. Then all of them are hidden.

Writes build/bench/dashboard.json. Exits with 1 if a view takes longer than a second, or 50 pages cost more than 5 % of a core.
"""

from __future__ import annotations

import argparse
import asyncio
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


READY_AT: Final = """window.readyAt = 0;
new MutationObserver((_, observer) => {
  if (!(READY)) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => (window.readyAt = performance.now())));
}).observe(document, { childList: true, subtree: true });"""
"""Notes when the view was painted with what it has to have. To look again and again from outside would make the browser draw."""
COUNTED: Final = """window.openStreams = 0;
{
  const fetched = window.fetch;
  window.fetch = async (address, options) => {
    if (!String(address).includes("live")) return fetched(address, options);
    window.openStreams += 1;
    options.signal.addEventListener("abort", () => (window.openStreams -= 1), { once: true });
    return fetched(address, options);
  };
}"""
"""Counts the streams of a page."""
UNFOLDED: Final = """async () => {
  const began = performance.now();
  document.querySelector(".step-row.fold").click();
  await new Promise((done) => {
    const observer = new MutationObserver(() => document.querySelector(".step-row.inside") && done());
    observer.observe(document, { childList: true, subtree: true });
  });
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
HIDDEN: Final = """() => {
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""A browser without windows hides no page by itself."""


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
    page.add_init_script(READY_AT.replace("READY", ready))
    page.goto(f"{address}/#/{place}", wait_until="commit")
    page.wait_for_function("() => window.readyAt", timeout=60_000, polling=100)
    took: float = page.evaluate("window.readyAt")
    context.close()
    return took


def openings(browser: Browser, address: str, place: str, ready: str) -> dict[str, float]:
    took = [opening_ms(browser, address, place, ready) for _ in range(TIMES)]
    return {"median_ms": round(statistics.median(took)), "slowest_ms": round(max(took))}


def long_list(page: Page, address: str) -> dict[str, float]:
    """Until all steps of the long workflow are there, and how smoothly they scroll."""
    page.goto(f"{address}/#/workflows/long")
    page.locator(".step-row.fold").wait_for()
    unfolding: float = page.evaluate(UNFOLDED)
    gap: float = page.evaluate(SCROLLED)
    return {"unfolding_ms": round(unfolding), "scroll_p95_ms": round(gap, 1)}


def cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def share_of_a_core(pid: int, seconds: float) -> float:
    before, began = cpu_ms(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_ms(pid) - before) / 1000 / (time.monotonic() - began)


@contextmanager
def idle_pages(browser: Browser, address: str, number: int) -> Iterator[list[Page]]:
    """Real pages that nobody touches, each in a browser profile of its own, as different people have them: a browser opens at most six
    connections to one node."""
    contexts = []
    pages = []
    for _ in range(number):
        contexts.append(browser.new_context(viewport=DESKTOP))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.add_init_script(COUNTED)
        page.goto(f"{address}/#/overview")
        page.wait_for_function(f"() => {VIEWS['Overview'][1]}", timeout=60_000)
        pages.append(page)
    yield pages
    for context in contexts:
        context.close()


def streams_of(pages: list[Page]) -> int:
    """Streams that are open now."""
    return sum(page.evaluate("window.openStreams") for page in pages)


def hide(pages: list[Page]) -> None:
    for page in pages:
        page.evaluate(HIDDEN)


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────────

VIEWS: Final[dict[str, tuple[str, str]]] = {
    "Overview": ("overview", "document.querySelectorAll('.state-tile').length === 8 && document.querySelector('canvas') && document.querySelector('.figures-row')"),
    "Workflows": ("workflows", "document.querySelectorAll('tbody tr').length >= 50"),
    "Agents and nodes": ("agents", "document.querySelectorAll('tbody tr').length >= 50"),
    "A workflow of many steps": ("workflows/long", "document.querySelector('.step-row.fold .count')"),
}  # fmt: skip


def measure(found: Desk, browser: Browser, seconds: float, pages: int) -> dict[str, Any]:
    report: dict[str, Any] = {name: openings(browser, found.address, *view) for name, view in VIEWS.items()}
    page = browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
    report |= long_list(page, found.address)
    page.close()
    report["idle"] = idle(found, browser, seconds, pages)
    return report


def idle(found: Desk, browser: Browser, seconds: float, number: int) -> dict[str, Any]:
    """What pages cost a node that stay open and in sight, and what hidden ones do."""
    node = found.nodes[0].pid
    time.sleep(3)
    alone = share_of_a_core(node, seconds)
    say(f"opening {number} pages")
    with idle_pages(browser, found.address, number) as pages:
        time.sleep(10)
        watched, streams = share_of_a_core(node, seconds), streams_of(pages)
        hide(pages)
        time.sleep(3)
        hidden, left = share_of_a_core(node, seconds), streams_of(pages)
    time.sleep(3)
    alone = (alone + share_of_a_core(node, seconds)) / 2
    shares = {
        "node_alone": alone,
        "node_with_pages": watched,
        "node_with_hidden_pages": hidden,
        "cost": watched - alone,
    }
    counts = {"pages": number, "streams": streams, "streams_of_hidden_pages": left}
    return counts | {name: round(share, 4) for name, share in shares.items()}


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
    print(f"{'all its steps, on a click':28} {report['unfolding_ms']:6} ms")
    print(f"{'scrolling, p95':28} {report['scroll_p95_ms']:6} ms between two pictures")
    print(
        f"{idle['pages']} idle pages cost the node {idle['cost']:.1%} of a core (with {idle['node_with_pages']:.1%}, without {idle['node_alone']:.1%})"
    )
    print(
        f"streams: {idle['streams']}; of hidden pages: {idle['streams_of_hidden_pages']}, which cost {idle['node_with_hidden_pages'] - idle['node_alone']:.1%}"
    )
    for name in slow:
        print(f"{name} takes longer than {LIMIT_MS} ms", file=sys.stderr)
    is_dear = idle["cost"] > LIMIT_SHARE
    if is_dear:
        print(f"idle pages cost more than {LIMIT_SHARE:.0%} of a core", file=sys.stderr)
    return int(bool(slow) or is_dear)


if __name__ == "__main__":
    sys.exit(main())
