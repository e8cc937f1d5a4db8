# SPDX-License-Identifier: Apache-2.0
"""axe-core finds nothing serious, on any view, dark or light, wide or narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.dashboard.conftest import DESKTOP, PHONE, Visitor

PLACES = {
    "overview": ".state-tile",
    "workflows": "tbody tr",
    "workflows/invoice-2041": ".step-row",
    "workflows/report-may": ".tone-blocked",
    "workflows/letter-tea": ".output",
    "escalations": ".inbox-item",
    "escalations/invoice-2041%2Fask%231": "form.decision",
    "escalations/poster-fair%2Frender%231": "form.decision",
    "agents": "tbody tr",
    "capabilities": "tbody tr",
    "capabilities/scan": "dialog",
    "definitions": ".definition",
    "definitions/invoice": "dialog form",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_serious(visitors: Callable[..., Visitor], place: str, size: dict[str, int], scheme: str) -> None:
    visitor = visitors(color_scheme=scheme, viewport=size, bypass_csp=True)
    page = visitor.open(place)
    expect(page.locator(PLACES[place]).first).to_be_visible()
    found: list[Any] = Axe().run(page).response["violations"]
    bad = [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]
    assert bad == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], "nothing is wider than the screen"
