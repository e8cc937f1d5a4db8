# SPDX-License-Identifier: Apache-2.0
"""What the page says when a part of the mesh is full, gone or silent. Each test has servers of its own."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from nervenet.dev.servers import etcd, valkey
from tests.dashboard import desk
from tests.dashboard.conftest import Visitor, in_a_loop_of_its_own
from tests.dashboard.states import DESK, open_desk
from tests.support.mesh import ProcessMesh

NOTHING_LOST = "Nothing is lost: the mesh goes on when it is back. What is wrong, and what to do: nervenet doctor"


def start_two(mesh: ProcessMesh) -> None:
    async def work() -> None:
        async with mesh.client() as client:
            for number in range(2):
                await client.start(desk.nightly, 4, id=f"nightly-{number}")

    in_a_loop_of_its_own(work)


def test_a_full_node(browser: Browser, redis_url: str, etcd_url: str, tmp_path: Path) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=DESK, NERVENET_MAX_WORKFLOWS="2") as mesh:
        found = open_desk(mesh, nodes=1, agents=0)
        start_two(mesh)
        visitor = Visitor(browser, found.address)
        page = visitor.open("agents")
        expect(page.locator("tr", has_text=found.nodes[0].id)).to_contain_text(re.compile(r"! ?full.*2/2", re.DOTALL))
        expect(page.get_by_text("No live agent.")).to_be_visible()
        visitor.open("definitions/nightly")
        page.get_by_role("dialog").get_by_label("Input", exact=True).fill("1")
        page.get_by_role("dialog").get_by_role("button", name="Start").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("has as many workflows as it may")
        assert visitor.problems == []
        visitor.context.close()


def test_a_dead_redis_and_its_return(browser: Browser, etcd_url: str, tmp_path: Path) -> None:
    with valkey() as redis, ProcessMesh(tmp_path, redis.url, etcd_url, app=DESK) as mesh:
        found = open_desk(mesh, nodes=1, agents=0)
        start_two(mesh)
        visitor = Visitor(browser, found.address)
        page = visitor.open("workflows")
        expect(page.locator("tbody tr")).to_have_count(2)
        redis.kill()
        away = f"cannot reach Redis at {redis.url}"
        expect(page.locator(".refusal").first).to_contain_text(away, timeout=40_000)
        expect(page.locator(".refusal").first).to_contain_text(NOTHING_LOST)
        expect(page.locator("tbody tr")).to_have_count(2)  # what was there stays
        visitor.open("agents")
        expect(page.get_by_text(f"queues cannot be read: {away}")).to_be_visible()
        expect(page.locator("tr", has_text=found.nodes[0].id)).to_contain_text(
            "active"
        )  # who is alive is known without it
        visitor.open("workflows")
        redis.start()
        expect(page.locator(".refusal")).to_have_count(0, timeout=60_000)
        assert visitor.problems == []
        visitor.context.close()


def test_a_dead_etcd(browser: Browser, redis_url: str, tmp_path: Path) -> None:
    with etcd() as registry, ProcessMesh(tmp_path, redis_url, registry.url, app=DESK) as mesh:
        found = open_desk(mesh, nodes=1, agents=0)
        start_two(mesh)
        registry.kill()
        visitor = Visitor(browser, found.address)
        page = visitor.open("workflows")
        expect(page.locator("tbody tr")).to_have_count(2)
        expect(page.locator("tbody tr").first).to_contain_text("sleeps until")
        visitor.open("agents")
        where = f"etcd at {registry.url.removeprefix('http://')} does not answer {found.nodes[0].id}, so who is alive may be out of date"
        said = f"{where}. What runs goes on; no workflow of a dead node is adopted → nervenet doctor"
        expect(page.get_by_role("alert")).to_have_text(said, timeout=40_000)
        visitor.open("overview")
        expect(page.get_by_role("alert")).to_have_text(said)
        assert visitor.problems == []
        visitor.context.close()


def test_a_node_that_is_gone_and_comes_back(browser: Browser, redis_url: str, etcd_url: str, tmp_path: Path) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=DESK) as mesh:
        found = open_desk(mesh, nodes=1, agents=0)
        visitor = Visitor(browser, found.address)
        page = visitor.open("overview")
        expect(page.locator(".state-tile").first).to_be_visible()
        found.nodes[0].kill()
        expect(page.get_by_text("The node does not answer.")).to_be_visible()
        mesh.up(mesh.node("", "--listen", "127.0.0.1:0", "--http", found.nodes[0].http))
        expect(page.get_by_text("The node does not answer.")).to_have_count(0)
        visitor.context.close()
