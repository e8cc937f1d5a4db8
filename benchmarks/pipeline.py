# SPDX-License-Identifier: Apache-2.0
"""What documents.py runs: OCR, split into pages, extract the fields of each page in parallel, validate, store.

    pipeline.py node
    pipeline.py agent CAPABILITY SLOTS

Configured by NERVENET_*. Each prints a JSON line when it serves: the node its address. A step sleeps as long as its work takes: the agents
wait for something else, as agents do. How long each step of each document takes, and how many pages it has, comes from its name alone, so
the benchmark knows how long the document would take without a mesh. PIPELINE_WORK_S has the shortest and the longest time ("1 3"). With
PIPELINE_SABOTAGE=1 every document loses a page, which the benchmark has to see.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from dataclasses import dataclass
from functools import partial
from typing import Final

from roles import serve

from nervenet import Context, Mesh
from nervenet.process import run_agent, run_node

SHORTEST_S, LONGEST_S = (float(each) for each in os.environ.get("PIPELINE_WORK_S", "1 3").split())
PAGES: Final = (2, 6)
LOST_PAGES: Final = int(os.environ.get("PIPELINE_SABOTAGE", "0"))
ALONE: Final = ("ocr", "split", "validate", "store")
FIELDS: Final = 10
"""On each page."""
STEPS: Final = ("ocr", "split", "extract", "validate", "store")
MANY: Final = 100_000
"""Slots: the command line of the process has the real number."""

mesh = Mesh("documents")


WARM_UP: Final = "warm-up"
"""A document without work: it goes through first, and everything is connected and imported."""


def pages_of(name: str) -> int:
    return random.Random(f"{name} pages").randint(*PAGES)


def work_s(name: str, step: str, page: int = 0) -> float:
    """How long a step of this document takes."""
    return 0.0 if name == WARM_UP else random.Random(f"{name} {step} {page}").uniform(SHORTEST_S, LONGEST_S)


def ideal_s(name: str) -> float:
    """How long the document takes without a mesh: its steps, one after another; of the pages, the slowest."""
    pages = max(work_s(name, "extract", page) for page in range(pages_of(name)))
    return sum(work_s(name, step) for step in ALONE) + pages


def calls_per_document(step: str) -> float:
    """On average."""
    return sum(PAGES) / 2 if step == "extract" else 1.0


def group(step: str) -> float:
    """How large the groups are in which its tasks arrive, as a task sees it: the mean square divided by the mean."""
    counts = range(PAGES[0], PAGES[1] + 1)
    return sum(n * n for n in counts) / sum(counts) if step == "extract" else 1.0


@dataclass
class Page:
    document: str
    number: int
    kind: str


@dataclass
class Fields:
    page: int
    values: dict[str, str]


@mesh.agent(slots=MANY)
async def ocr(name: str) -> str:
    """Read the document; where the text is."""
    await asyncio.sleep(work_s(name, "ocr"))
    return f"store://texts/{name}"


@mesh.agent(slots=MANY)
async def split(text: str) -> list[Page]:
    """Tell the pages apart, and which kind each one is."""
    name = text.rpartition("/")[2]
    await asyncio.sleep(work_s(name, "split"))
    return [
        Page(name, number, ("invoice", "letter", "form")[number % 3]) for number in range(pages_of(name) - LOST_PAGES)
    ]


@mesh.agent(slots=MANY)
async def extract(page: Page) -> Fields:
    """Read the fields of one page."""
    await asyncio.sleep(work_s(page.document, "extract", page.number))
    values = {f"field-{n}": f"{page.kind} {page.number} {n}" for n in range(FIELDS - 1)}
    return Fields(page.number, {"document": page.document, **values})


@mesh.agent(slots=MANY)
async def validate(found: list[Fields]) -> list[Fields]:
    """Check the fields of all pages against each other."""
    await asyncio.sleep(work_s(_name(found), "validate"))
    return found


@mesh.agent(slots=MANY)
async def store(found: list[Fields]) -> str:
    """Write the fields to a database."""
    name = _name(found)
    await asyncio.sleep(work_s(name, "store"))
    return f"{name}: {sum(len(each.values) for each in found)} fields"


def _name(found: list[Fields]) -> str:
    return found[0].values["document"]


@mesh.workflow
async def document(ctx: Context, name: str) -> str:
    text = await ctx.call(ocr, name)
    pages = await ctx.call(split, text)
    found = await ctx.map(extract, pages)
    valid = await ctx.call(validate, found)
    return await ctx.call(store, valid)


def main(role: str, *arguments: str) -> None:
    match role, arguments:
        case "node", ():
            serve(run_node, "node", mesh)
        case "agent", (capability, slots):
            serve(partial(run_agent, only=[capability], name=capability, slots=int(slots)), "agent", mesh)
        case _:
            raise SystemExit(f"usage: pipeline.py node | agent CAPABILITY SLOTS, not {role} {' '.join(arguments)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
