# SPDX-License-Identifier: Apache-2.0
"""The chart through the real helm: lint, render, refuse; and the files that are made from it."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / "build/kubernetes/bin/helm"
CHART = ROOT / "deploy/helm/nervenet"
RENDERS = ROOT / "deploy/kubernetes"
NAMES = CHART / "values.schema.json"
CASES = ("trial", "minimal", "production", "gateway", "keda")
"""The value files in ci/."""
_HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Made by tools/kubernetes.sh --write from deploy/helm/nervenet with ci/{case}-values.yaml: change those instead.
#   kubectl create namespace mesh; kubectl -n mesh apply -f deploy/kubernetes/{case}.yaml
# Names, images and Secrets are examples: docs/kubernetes.md says what to change.
"""
_ONLY_HELMS = re.compile(r"^ +(app\.kubernetes\.io/managed-by: Helm|helm\.sh/chart: .*)\n", re.MULTILINE)


class HelmFailed(Exception):
    """helm refused; what it said."""


def helm(*arguments: str | Path) -> str:
    """What helm prints. Raises HelmFailed."""
    ran = subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode:
        raise HelmFailed("\n".join(line for line in ran.stderr.splitlines() if "symbolic link" not in line))
    return ran.stdout


def _values(case: str) -> tuple[str, str]:
    return "--values", str(CHART / f"ci/{case}-values.yaml")


def lint(case: str) -> list[str]:
    """What helm lint finds."""
    try:
        helm("lint", "--strict", CHART, *_values(case))
    except HelmFailed as failed:
        return [f"helm lint, {case}: {failed}"]
    return []


@cache
def template(case: str, *sets: str) -> str:
    """The manifests of a value file."""
    options = [option for one in sets for option in ("--set", one)]
    return helm("template", "mesh", CHART, "--namespace", "mesh", *_values(case), *options)


def render(case: str) -> list[dict[str, Any]]:
    """The objects of a value file."""
    return [one for one in yaml.safe_load_all(template(case)) if one]


def refused(sets: Sequence[str]) -> bool:
    """Whether the trial's values with these on top are refused, in words."""
    try:
        template("trial", *sets)
    except HelmFailed as failed:
        return bool(str(failed).strip())
    return False


def rendered_for_kubectl(case: str) -> str:
    """What deploy/kubernetes has: without Helm's own labels, and without the dashboards, which deploy/grafana has."""
    return _HEAD.format(case=case) + _ONLY_HELMS.sub("", template(case, "metrics.dashboards.enabled=false"))


def schema_text() -> str:
    """values.schema.json with the names of all settings that the environment has and that no value of the chart sets."""
    settings = re.findall(
        r"^- environment: `NERVENET_(\w+)`$", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE
    )
    written = set(re.findall(r"name: NERVENET_(\w+)|\"NERVENET_(\w+)\"", _templates()))
    own = {name for pair in written for name in pair if name}
    schema = json.loads(NAMES.read_text())
    schema["$defs"]["settings"]["propertyNames"]["enum"] = [
        s.lower() for s in settings if s not in own | {"TOKEN"}
    ]  # a secret belongs in a Secret
    return json.dumps(schema, indent=1) + "\n"


def _templates() -> str:
    return "\n".join(file.read_text() for file in sorted((CHART / "templates").glob("*")))


def version_problems() -> Iterator[str]:
    """The chart's version is that of the package."""
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for key in ("version", "appVersion"):
        if chart[key] != package:
            yield f"Chart.yaml: {key} is {chart[key]}, and the package's version is {package}"
