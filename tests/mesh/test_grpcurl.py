# SPDX-License-Identifier: Apache-2.0
"""The contract from outside, without a line of our code: grpcurl, reflection, plain JSON values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.mesh import ProcessMesh

GRPCURL = Path(sys.executable).with_name("grpcurl")


@pytest.fixture(scope="module", autouse=True)
def processes(host: ProcessMesh) -> None:
    host.up(host.node())
    host.up(host.agent("--only", "note,say"))


def grpcurl(host: ProcessMesh, *arguments: str, data: Any = None) -> subprocess.CompletedProcess[str]:
    given = ["-d", json.dumps(data)] if data is not None else []
    header = ["-H", f"nervenet-namespace: {host.namespace}"]
    command = [str(GRPCURL), "-plaintext", *header, *given, host.nodes[0].address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_list_and_describe_show_the_three_services(host: ProcessMesh) -> None:
    listed = grpcurl(host, "list").stdout.splitlines()
    services = [line for line in listed if line.startswith("nervenet.v1.")]
    assert services == [f"nervenet.v1.{name}Service" for name in ("Agent", "Coordinator", "Registry")]
    for service in services:
        assert "rpc " in grpcurl(host, "describe", service).stdout


def test_a_plain_json_value_goes_in_and_comes_out(host: ProcessMesh) -> None:
    start = {"definition": "greet", "workflowId": "curl-1", "input": {"value": ["Ada", "Joan"]}, "wait": "10s"}
    answer = grpcurl(host, "nervenet.v1.CoordinatorService/StartWorkflow", data=start)
    workflow = json.loads(answer.stdout)["workflow"]
    assert workflow["state"] == "WORKFLOW_STATE_SUCCEEDED" and workflow["output"] == {"value": ["Ada!", "Joan!"]}
    asked = grpcurl(host, "nervenet.v1.CoordinatorService/GetWorkflow", data={"workflowId": "curl-1"})
    found = json.loads(asked.stdout)["workflow"]
    assert (found["input"], found["output"]) == ({"value": ["Ada", "Joan"]}, {"value": ["Ada!", "Joan!"]})


@pytest.mark.parametrize(
    ("method", "data", "says"),
    [
        ("GetWorkflow", {"workflowId": "curl-0"}, ("NotFound", "WORKFLOW_NOT_FOUND", "curl-0")),
        ("StartWorkflow", {"definition": "grete", "input": {"value": []}}, ("NotFound", "DEFINITION_NOT_FOUND")),
        ("ListWorkflows", {"pageToken": "???"}, ("InvalidArgument", "page_token")),
        ("StartWorkflow", {"definition": "greet", "input": {"value": []}, "workflowId": "{}"}, ("InvalidArgument",)),
        ("Connect", {}, ("InvalidArgument", "INVALID_FIELD", "begins with hello")),
    ],
)
def test_refusals_are_statuses_with_reasons(host: ProcessMesh, method: str, data: Any, says: tuple[str, ...]) -> None:
    service = "Agent" if method == "Connect" else "Coordinator"
    answer = grpcurl(host, f"nervenet.v1.{service}Service/{method}", data=data)
    assert answer.returncode != 0 and all(words in answer.stderr for words in says), answer.stderr
