# SPDX-License-Identifier: Apache-2.0
"""deploy/ without a container engine: its files against their schema and against the product they start.

What this proves: compose.yaml is valid by the compose specification's schema, every nervenet command in it is one that
the CLI parses, what it names exists, and the health check answers as a container engine needs it. What it cannot
prove: that the images exist and that the whole comes up. Where a `docker compose` client is, it judges the file too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(COMPOSE.read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "nervenet-demo"}


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_compose_yaml_follows_the_compose_specification() -> None:
    checked = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert checked.returncode == 0, checked.stdout
    if shutil.which("docker") and run("docker", "compose", "version").returncode == 0:
        checked = run("docker", "compose", "-f", COMPOSE, "config", "--quiet")
        assert checked.returncode == 0, checked.stderr


def test_the_mesh_in_it_has_two_nodes_and_an_agent_for_every_capability() -> None:
    roles = [service["command"][0] for service in OURS.values()]
    assert roles.count("node") == 2 and roles.count("agent") >= 4
    served = [
        name for s in OURS.values() if "--only" in (c := s["command"]) for name in c[c.index("--only") + 1].split(",")
    ]
    assert set(served) == {"classify", "extract", "validate", "summarize"}
    assert served.count("classify") == 2


@pytest.mark.parametrize("name", OURS)
def test_each_process_can_be_reached_where_it_says(name: str) -> None:
    service = OURS[name]
    listen = service["command"][service["command"].index("--listen") + 1]
    assert service["environment"]["NERVENET_ADVERTISE"] == f"{name}:{listen.rpartition(':')[2]}"
    assert set(service["depends_on"]) <= set(SERVICES)


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_that_the_cli_parses(name: str) -> None:
    command = OURS[name]["command"]
    assert (ROOT / command[1]).is_file()
    nervenet = Path(sys.executable).with_name("nervenet")  # as the image's ENTRYPOINT
    known = run(nervenet, *command, "--help")  # parses everything before it, and starts nothing
    assert known.returncode == 0, known.stderr
    assert run(nervenet, *command, "--no-such-option").returncode == 2


def test_an_image_is_pinned_and_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    stages = {line.split()[3] for line in lines if re.match(r"FROM \S+ AS ", line)}
    base = next(line.partition("BASE=")[2] for line in lines if line.startswith("ARG BASE="))
    images = [line.split()[1].replace("${BASE}", base) for line in lines if line.startswith("FROM ")]
    images += [service["image"] for service in SERVICES.values() if service not in OURS.values()]
    assert all(
        ":" in image.rpartition("/")[2] and not image.endswith(":latest") for image in images if image not in stages
    )
    assert "USER 10001:10001" in lines
    copied = {source for line in lines if line.startswith("COPY ") and "--from" not in line for source in sources(line)}
    assert all((ROOT / source).exists() for source in copied)
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{source}" for source in copied - {"."}} <= set(context)


def test_an_image_is_built_only_on_an_optimized_python_unless_told_otherwise(tmp_path: Path) -> None:
    """The check of the Dockerfile itself, on stand-ins for the base's Python that tell how they were built."""
    text = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", "")
    check = next(line for line in text.splitlines() if line.startswith("RUN ") and "--enable-optimizations" in line)

    def build(arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "sysconfig.py").write_text(f"def get_config_var(name): return {arguments!r}\n")
        (tmp_path / "python").unlink(missing_ok=True)
        (tmp_path / "python").symlink_to(sys.executable)
        path = f"{tmp_path}:/usr/bin:/bin"
        return subprocess.run(
            ["sh", "-c", check.removeprefix("RUN ")],
            env={"PATH": path, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1", **env},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert build("'--enable-optimizations' '--with-lto'").returncode == 0
    refused = build("'--enable-shared'")
    assert refused.returncode == 1 and "--build-arg ANY_PYTHON=1" in refused.stderr
    assert build("'--enable-shared'", ANY_PYTHON="1").returncode == 0


def sources(copy: str) -> list[str]:
    """The sources of a COPY line: its words without flags and without the last, where they go."""
    return [word for word in copy.split()[1:-1] if not word.startswith("--")]


@pytest.fixture
def health() -> Iterator[tuple[HealthServicer, str]]:
    server, servicer = grpc.server(ThreadPoolExecutor(2)), HealthServicer()
    add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"0.0.0.0:{port}"
    server.stop(None).wait()


def test_the_health_check_tells_serving_from_draining_from_dead(health: tuple[HealthServicer, str]) -> None:
    servicer, listen = health
    check = ROOT / "deploy" / "healthcheck.py"
    servicer.set("", HealthCheckResponse.SERVING)
    assert run(sys.executable, check, NERVENET_LISTEN=listen, NERVENET_TLS="off").returncode == 0
    servicer.set("", HealthCheckResponse.NOT_SERVING)
    assert run(sys.executable, check, NERVENET_LISTEN=listen, NERVENET_TLS="off").returncode == 1
    dead = run(sys.executable, check, NERVENET_LISTEN="0.0.0.0:1", NERVENET_TLS="off")
    assert dead.returncode == 1 and "port 1" in dead.stderr and "Traceback" not in dead.stderr
