# SPDX-License-Identifier: Apache-2.0
"""deploy/kubernetes against the product: commands that the CLI parses, settings that exist, files and ports that fit.

`make kubernetes` judges the same objects by the schemas of Kubernetes, and renders them again with helm.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from nervenet.config.settings import SETTINGS
from nervenet.node.services.scaled_pool import read_pool
from tests.support.environment import ROOT, clean_environment, nervenet

FILES = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
KNOWN = {setting.environment: setting for setting in SETTINGS}
COMING = {"NERVENET_INSECURE", "NERVENET_JWT_AUDIENCE", "NERVENET_JWT_ISSUER", "NERVENET_TLS_NAME"} - set(KNOWN)
"""Settings that other parts of this release bring."""


@cache
def objects(file: Path) -> list[dict[str, Any]]:
    return [one for one in YAML(typ="safe").load_all(file.read_text()) if one]


def containers(file: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, container and pod of each Deployment."""
    for one in objects(file):
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]["spec"]
            yield one["metadata"]["name"], pod["containers"][0], pod


def test_there_is_a_file_for_each_kind_of_mesh() -> None:
    assert {file.stem for file in FILES} == {"trial", "minimal", "production", "gateway", "keda"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_command_of_ours_is_one_that_the_cli_parses(file: Path) -> None:
    ours = [box["command"] for _, box, _ in containers(file) if box["command"][0] == "nervenet"]
    assert (ours and ours[0][1] == "node") or any(command[1] == "node" for command in ours)
    for command in ours:
        known = nervenet(
            *command[1:], "--help", env=clean_environment()
        )  # parses everything before it, and starts nothing
        assert known.returncode == 0, known.stderr
        assert nervenet(*command[1:], "--no-such-option", env=clean_environment()).returncode == 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_variable_is_a_setting_with_a_value_that_it_takes(file: Path) -> None:
    for name, box, pod in containers(file):
        mounted = {mount["mountPath"] for mount in box["volumeMounts"]}
        for one in box["env"]:
            if not one["name"].startswith("NERVENET_") or one["name"] in COMING:
                continue
            setting = KNOWN.get(one["name"])
            assert setting is not None, f"{name}: there is no setting {one['name']}"
            value = one.get("value", "")
            if value.startswith("/etc/nervenet/"):
                assert str(Path(value).parent) in mounted, f"{name}: nothing is mounted where {one['name']} is"
            elif value:
                setting.parse(value.replace("$(POD_IP)", "10.0.0.1"), name)
        assert {mount["name"] for mount in box["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_pool_without_redis_gets_no_redis(file: Path) -> None:
    for name, box, _ in containers(file):
        variables = {one["name"] for one in box["env"]}
        gateway = "nervenet" not in box["command"][0]
        assert ("NERVENET_REDIS" in variables) is not gateway, name
        assert ("NERVENET_ETCD" in variables) is name.endswith("-nodes"), name


def test_what_keda_is_told_is_what_the_scaler_understands() -> None:
    triggers = [
        trigger["metadata"]
        for one in objects(ROOT / "deploy/kubernetes/keda.yaml")
        if one["kind"] == "ScaledObject"
        for trigger in one["spec"]["triggers"]
    ]
    pools = [read_pool(metadata, ["default"]) for metadata in triggers]
    assert pools[0].capabilities == ("classify",) and pools[0].slots == 8
    assert pools[1].capabilities == ("transcribe", "translate") and pools[1].labels == {"gpu": "yes"}
    assert pools[1].version == "2" and pools[1].max_age_ms == 60_000


def test_every_process_that_shows_a_certificate_has_one_of_its_own() -> None:
    rendered = objects(ROOT / "deploy/kubernetes/production.yaml")
    made = {one["spec"]["secretName"]: one["spec"] for one in rendered if one["kind"] == "Certificate"}
    used = [
        v["secret"]["secretName"]
        for _, _, pod in containers(ROOT / "deploy/kubernetes/production.yaml")
        for v in pod["volumes"]
        if v["name"] == "tls"
    ]
    assert len(set(used)) == len(used) and set(used) == set(made)
    for spec in made.values():
        assert "mesh-nervenet.mesh.svc" in spec["dnsNames"] and "localhost" in spec["dnsNames"]
        assert spec["uris"][0].startswith("spiffe://cluster.local/nervenet/")
