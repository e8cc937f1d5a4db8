# SPDX-License-Identifier: Apache-2.0
"""Screenshots of every view, for docs/dashboard.md and to be looked at after a change.

make dashboard-pictures                        # docs/pictures/dashboard-*.png: those that the page shows
make dashboard-pictures ARGS="--all --out build/pictures"   # each view: dark and light, desktop and phone
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from tests.dashboard import desk
from tests.dashboard.conftest import DESKTOP, PHONE, in_a_loop_of_its_own
from tests.dashboard.states import DESK, LABELED, fill, in_state, keep_busy, open_desk, poison
from tests.support.mesh import mesh_alone


class View(NamedTuple):
    """A place, and what must be there before the picture is taken."""

    place: str
    ready: str
    click: str = ""
    without: int = 0
    """Pixels at the bottom that the picture leaves out: a page of text makes a large file."""


VIEWS: Final = {
    "overview": View("overview", ".backlog-fill"),
    "workflows": View("workflows?state=RUNNING%2CWAITING_FOR_HUMAN%2CBLOCKED%2CFAILED", "tbody tr", without=200),
    "workflow": View("workflows/invoice-2042", ".step-row"),
    "step": View("workflows/invoice-2042", ".step-row", ".step-row:has-text('attempt 2')"),
    "blocked": View("workflows/report-may", ".tone-blocked"),
    "output": View("workflows/letter-tea", ".output"),
    "journal": View("workflows/invoice-2041", ".step-row", "[role=tab]:has-text('Journal')"),
    "escalations": View("escalations/invoice-2041%2Fask%231", "form.decision"),
    "failed-task": View("escalations/greeting-es%2Ftranslate%231", "form.decision"),
    "agents": View("agents", "tbody tr"),
    "capabilities": View("capabilities", "tbody tr"),
    "definitions": View("definitions", ".definition"),
    "start": View("definitions/invoice", "dialog form"),
}
SHOWN: Final = (
    ("workflow", "light", "desktop"), ("step", "dark", "desktop"), ("overview", "light", "desktop"), ("overview", "dark", "desktop"), ("workflows", "light", "desktop"),
    ("escalations", "light", "desktop"), ("agents", "light", "desktop"),
    ("capabilities", "light", "desktop"), ("start", "light", "desktop"), ("overview", "light", "phone"), ("escalations", "dark", "phone"),
)  # fmt: skip
"""What docs/dashboard.md shows."""
EVERYTHING: Final = tuple(
    (view, scheme, size) for view in VIEWS for scheme in ("light", "dark") for size in ("desktop", "phone")
)
SETTLED_MS: Final = 1200


def draw(browser: Browser, address: str, out: Path, wanted: Sequence[tuple[str, str, str]]) -> None:
    for name, scheme, size in wanted:
        screen, scale = (DESKTOP, 1) if size == "desktop" else (PHONE, 1.5)
        page = browser.new_page(viewport=screen, color_scheme=scheme, device_scale_factor=scale)  # type: ignore[arg-type]
        show(page, address, VIEWS[name])
        clip = {"x": 0, "y": 0, "width": screen["width"], "height": screen["height"] - VIEWS[name].without}
        page.screenshot(path=out / f"dashboard-{name}-{scheme}-{size}.png", clip=clip)  # type: ignore[arg-type]
        page.close()


def show(page: Page, address: str, view: View) -> None:
    page.goto(f"{address}/#/{view.place}")
    page.locator(view.ready).first.wait_for()
    if view.click:
        page.locator(view.click).first.click()
    page.wait_for_timeout(SETTLED_MS)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--all", action="store_true", help="every view, dark and light, desktop and phone")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    with mesh_alone(DESK) as mesh, sync_playwright() as playwright:
        found = open_desk(mesh)

        async def work() -> None:
            await asyncio.gather(fill(mesh, hostile=False), poison(mesh))
            await keep_busy(mesh, 75)
            async with mesh.client() as client:  # a fresh one: its bars are not short beside a long wait
                await client.start(
                    desk.invoice, desk.Invoice(supplier="Kern & Söhne", pages=6), id="invoice-2042", options=LABELED
                )
                await in_state(client, "invoice-2042", "WAITING_FOR_HUMAN")

        in_a_loop_of_its_own(work)
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        draw(browser, found.address, args.out, EVERYTHING if args.all else SHOWN)
        browser.close()
    print(f"{args.out} is written")


if __name__ == "__main__":
    main()
