# SPDX-License-Identifier: Apache-2.0
"""The page on tracing: its program by `nervenet dev`, its commands, and what reaches a collector."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.docs.blocks import blocks, check, commands, runs_on, steady
from tests.support.dev import Dev
from tests.support.environment import ROOT
from tests.telemetry.collector import Seen, collector

PAGE = ROOT / "docs/tracing.md"


def tell(folder: Path) -> None:
    (program,) = blocks(PAGE, "python")
    (spans,) = blocks(PAGE, "text")
    (line,) = blocks(PAGE, "json")
    with collector() as collected:
        dev = Dev(folder, program.text, app=program.file)
        exported = {"OTEL_EXPORTER_OTLP_ENDPOINT": collected.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        dev.environment |= exported
        with dev:
            for command in commands(PAGE):
                if not runs_on(command):
                    check(command, folder, dev.address, form=without_ids, of=dev, environment=exported)
            expected = spans.text.count("\n")
            collected.wait(lambda seen: len(seen) >= expected, "every span of the page")
            root = collected.tree("first")
            assert drawn(root) == spans.text
            assert trace_in_show(folder, dev) == root.trace_id
            said = next(line for line in dev.logs().splitlines() if '"greeting Ada"' in line)
            shown, logged = json.loads(line.text), json.loads(said)
            assert logged["trace_id"] == root.trace_id
            assert {**shown, "trace_id": ""} == {**{key: logged[key] for key in shown}, "trace_id": ""}


def trace_in_show(folder: Path, dev: Dev) -> str:
    found: str = json.loads(dev.run("show", "first", "--json").stdout)["workflow"]["traceId"]
    return found


def drawn(span: Seen, depth: int = 0) -> str:
    """A span and those below it, a line each."""
    below = "".join(drawn(child, depth + 1) for child in span.children)
    return f"{'  ' * depth}{span.name}  {span.kind}\n{below}"


def without_ids(text: str) -> str:
    return steady(re.sub(r"\b[0-9a-f]{32}\b", "TRACE", text))
