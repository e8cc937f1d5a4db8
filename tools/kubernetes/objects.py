# SPDX-License-Identifier: Apache-2.0
"""What is wrong with rendered objects: by the schemas of Kubernetes, by those of custom resources, and by our own rules.

The schemas of Kubernetes come with the package kubernetes-validate. Those of cert-manager, KEDA and the Prometheus operator have the
fields that the chart uses, written by hand from their published references (schemas/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import yaml

KUBERNETES = ("1.27", "1.30", "1.33", "1.35", "1.37")
_SCHEMAS = Path(__file__).parent / "schemas"
_WORKLOADS = ("Deployment", "StatefulSet")


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong, in words."""
    for one in objects:
        where = f"{one['kind']} {one['metadata']['name']}"
        for problem in (*_against_schemas(one), *_hardening(one)):
            yield f"{where}: {problem}"
    yield from _twice(objects)
    yield from _selected(objects)


def _against_schemas(one: dict[str, Any]) -> Iterator[str]:
    own = _SCHEMAS / f"{one['kind'].lower()}.yaml"
    if own.exists():
        for error in _validator(own).iter_errors(one):
            yield f"{error.json_path}: {error.message}"
        return
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            yield f"Kubernetes {version} has no {one['apiVersion']}, and schemas/ neither"
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"


@cache
def _validator(file: Path) -> jsonschema.Draft202012Validator:
    schema = yaml.safe_load(file.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _hardening(one: Mapping[str, Any]) -> Iterator[str]:
    """What every pod must have, whatever the values are."""
    if one["kind"] not in _WORKLOADS:
        return
    pod = one["spec"]["template"]["spec"]
    security = pod["securityContext"]
    if not security.get("runAsNonRoot") or security.get("runAsUser", 0) == 0:
        yield "it may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "it has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it has a token for the Kubernetes API"
    for container in pod["containers"]:
        yield from _container(container, pod)


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    security = container["securityContext"]
    if not security.get("readOnlyRootFilesystem"):
        yield "its root file system can be written"
    if security.get("allowPrivilegeEscalation") is not False or security.get("capabilities") != {"drop": ["ALL"]}:
        yield "it may gain privileges"
    if "memory" not in container["resources"].get("limits", {}):
        yield "it has no limit of memory"
    if container["image"].endswith(":latest") or ":" not in container["image"].rpartition("/")[2]:
        yield f"its image {container['image']} may change"
    environment = {one["name"]: one.get("value", "") for one in container["env"]}
    names = [one["name"] for one in container["env"]]
    if len(set(names)) < len(names):
        yield f"a variable is set twice: {sorted({name for name in names if names.count(name) > 1})}"
    drain = int(environment["NERVENET_DRAIN"].removesuffix("s"))
    sleeps = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    if pod["terminationGracePeriodSeconds"] < drain + int(sleeps[1]) + 10:
        yield "it is killed before it has drained"


def _twice(objects: list[dict[str, Any]]) -> Iterator[str]:
    seen = set()
    for one in objects:
        name = (one["apiVersion"], one["kind"], one["metadata"]["name"])
        if name in seen:
            yield f"{one['kind']} {one['metadata']['name']} is there twice"
        seen.add(name)


def _selected(objects: list[dict[str, Any]]) -> Iterator[str]:
    """Every Service and PodDisruptionBudget selects a pod, and every named port exists."""
    pods = [one["spec"]["template"] for one in objects if one["kind"] in _WORKLOADS]
    for one in objects:
        if one["kind"] not in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            continue
        where, spec = f"{one['kind']} {one['metadata']['name']}", one["spec"]
        wanted = spec.get("podSelector", spec.get("selector", {}))
        wanted = wanted.get("matchLabels", wanted)
        found = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
        if not found:
            yield f"{where} selects no pod"
        ports = {port["name"] for pod in found for box in pod["spec"]["containers"] for port in box.get("ports", ())}
        for port in spec.get("ports", ()):
            if port["targetPort"] not in ports:
                yield f"{where}: no pod has the port {port['targetPort']}"
