# SPDX-License-Identifier: Apache-2.0
"""docs/metrics.md, the dashboards and the alerts: made from the table, valid PromQL, real names, and a runbook for each alert."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from ruamel.yaml import YAML

from nervenet import WorkflowFailed
from nervenet.metrics import Registry, catalog, exposition
from tests.metrics.world import fetched
from tests.support.environment import ROOT
from tests.support.mesh import ProcessMesh

BOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
PROMTOOL = ROOT / "build/promtool/promtool"
built = pytest.mark.skipif(not PROMTOOL.exists(), reason="promtool is not built: run tools/promtool")

FROM_PROMETHEUS = {"job", "instance", "role", "le"}
"""Labels that the scrape, or every line of a page, adds."""


def series() -> dict[str, set[str]]:
    """Every name that a page can have, with its labels."""
    found = {"up": {"job", "instance"}}
    for metric in catalog.ALL:
        name = exposition.prometheus_name(metric)
        labels = {exposition.label_name(label) for label in metric.labels} | FROM_PROMETHEUS
        for suffix in ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",):
            found[name + suffix] = labels
    return found


def rules() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Where, and what is asked."""
    for board in BOARDS:
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{board.name}: {panel['title']}", target["expr"].replace("$__rate_interval", "5m")
    for rule in rules():
        yield rule["alert"], rule["expr"]


def selectors(expression: Any) -> Iterator[Any]:
    """Every selector in an expression."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    elif isinstance(expression, promql.MatrixSelector):
        yield expression.vector_selector
    for part in ("expr", "lhs", "rhs", "args", "param"):
        inner = getattr(expression, part, None)
        for one in inner if isinstance(inner, list | tuple) else (inner,):
            if isinstance(one, promql.Expr):
                yield from selectors(one)


def test_every_query_is_promql_and_names_real_metrics_and_labels() -> None:
    known = series()
    asked = set()
    for where, query in queries():
        expression = promql.parse(query)
        found = list(selectors(expression))
        assert found, f"{where} asks for nothing: {query}"
        labels = set()
        for selector in found:
            assert selector.name in known, f"{where}: there is no {selector.name}"
            asked.add(selector.name)
            labels |= known[selector.name]
            for matcher in selector.matchers.matchers:
                assert matcher.name in known[selector.name], f"{where}: {selector.name} has no {matcher.name}"
        grouped = re.findall(r"(?:by|on|ignoring) \(([a-z_, ]+)\)", query)
        assert {label.strip() for group in grouped for label in group.split(",")} <= labels, f"{where}: {query}"
    bases = {exposition.prometheus_name(metric) for metric in catalog.ALL}
    shown = {re.sub("_(bucket|sum|count)$", "", name) if name not in bases else name for name in asked}
    assert shown >= bases, f"no dashboard shows {sorted(bases - shown)}"


def test_a_wrong_name_in_a_query_is_found() -> None:
    """The check above can fail."""
    (selector,) = selectors(promql.parse("sum by (x) (rate(nervenet_workflow_begun_total[5m])) > 1"))
    assert selector.name not in series()


def test_the_legends_name_labels_of_their_query() -> None:
    for board in BOARDS:
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel.get("targets", ()):
                labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
                assert labels <= grouped, f"{board.name}: {panel['title']}"


def test_what_is_made_from_the_table_is_fresh() -> None:
    checked = subprocess.run([sys.executable, "tools/metrics", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_has_a_runbook_entry_and_the_other_way_round() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    entries = re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in entries] == [rule["alert"] for rule in rules()]
    for name, words in entries:
        assert re.findall(r"^\*\*(\w+)\.\*\*", words, re.MULTILINE) == ["Means", "Look", "Do"], name
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "warn")


@built
def test_promtool_accepts_the_rules() -> None:
    checked = subprocess.run([PROMTOOL, "check", "rules", ALERTS], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules())} rules found" in checked.stdout


def test_prometheus_of_the_compose_file_reads_every_process_of_the_mesh() -> None:
    yaml = YAML(typ="safe")
    (job,) = yaml.load(ALERTS.with_name("prometheus.yaml").read_text())["scrape_configs"]
    services = yaml.load((ROOT / "deploy/compose.yaml").read_text())["services"]
    ours = {name: one for name, one in services.items() if one["image"] == "nervenet-demo"}
    assert job["job_name"] == "nervenet"
    assert sorted(job["static_configs"][0]["targets"]) == sorted(f"{name}:9464" for name in ours)
    assert {one["environment"]["NERVENET_METRICS"] for one in ours.values()} == {"0.0.0.0:9464"}


@built
def test_promtool_accepts_the_configuration() -> None:
    checked = subprocess.run(
        [PROMTOOL, "check", "config", ALERTS.with_name("prometheus.yaml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@built
def test_alerts_fire_when_they_should() -> None:
    file = ALERTS.with_name("alerts.test.yaml")
    checked = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@built
def test_promtool_accepts_the_queries_of_the_dashboards() -> None:
    for where, query in queries():
        checked = subprocess.run(
            [PROMTOOL, "--experimental", "promql", "format", query], capture_output=True, text=True
        )
        assert checked.returncode == 0, f"{where}: {checked.stderr}"


@built
def test_promtool_accepts_a_page(tmp_path: Path) -> None:
    registry = Registry("node")
    for metric in catalog.ALL:
        labels = ("x",) * len(metric.labels)
        if metric.kind == "histogram":
            registry.histograms(metric).child(*labels).observe(1)
        elif metric.kind == "counter" and metric.name != catalog.LABELS_DROPPED.name:
            registry.counters(metric).child(*labels).add()
        elif metric.kind == "gauge":
            registry.read(metric, lambda labels=labels: {labels: 1.0})  # type: ignore[misc]
    accepted(exposition.text([registry]))


@built
async def test_promtool_accepts_the_pages_of_a_node_and_an_agent(tmp_path: Path, redis_url: str, etcd_url: str) -> None:
    with ProcessMesh(tmp_path, redis_url, etcd_url, app="tests/metrics/app.py", NERVENET_METRICS="127.0.0.1:0") as mesh:
        (node,) = mesh.up(mesh.node())
        (agent,) = mesh.up(mesh.agent("--only", "greet,fail"))
        async with mesh.client() as client:
            assert await client.run("welcome", "Ada") == "Hello, Ada"
            with pytest.raises(WorkflowFailed):
                await client.run("doomed", "Ada")
        for process, shows in (
            (node, "nervenet_workflow_closed_total"),
            (agent, "nervenet_task_run_duration_seconds_bucket"),
        ):
            status, _, page = await fetched(process.metrics)
            assert status == 200 and shows in page
            accepted(page.encode())


def accepted(page: bytes) -> None:
    """promtool reads the page. It may object to its style."""
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True)
    said = (checked.stdout + checked.stderr).decode()
    assert checked.returncode in (0, 3), said  # 3: matters of style
    assert "error" not in said.lower(), said
