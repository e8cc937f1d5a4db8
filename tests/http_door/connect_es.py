# SPDX-License-Identifier: Apache-2.0
"""A real connect-es client, the one for browsers, against a node with a token: JSON and protobuf, answers, streams, errors.

`make interop` runs it (it needs Node.js and its packages):

    python -m tests.http_door.connect_es
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from nervenet.v1 import agent_service_pb2, coordinator_service_pb2, registry_service_pb2, workflow_pb2
from tests.support.mesh import mesh_alone

FOLDER = Path(__file__).parent / "connect_es"
APP = "tests/services/world.py"
TOKEN = "s3cret"


def descriptors() -> bytes:
    """The contract with everything that it imports, each file after those that it needs."""
    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for needed in file.dependencies:
            add(needed)
        file.CopyToProto(found.file.add())

    for module in (coordinator_service_pb2, registry_service_pb2, agent_service_pb2):
        add(descriptor_pool.Default().FindFileByName(module.DESCRIPTOR.name))
    return found.SerializeToString()


def told(url: str, image: Path, form: str) -> dict[str, Any]:
    ran = subprocess.run(
        ["node", "client.mjs", url, str(image), TOKEN, form], cwd=FOLDER, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def check(found: dict[str, Any]) -> None:
    assert found["state"] == workflow_pb2.WORKFLOW_STATE_SUCCEEDED
    assert found["output"] == {"value": "grüß Gott"}
    assert found["entries"] == ["start", "close"]
    assert found["left"]["code"] == "Canceled"
    assert found["late"]["code"] == "DeadlineExceeded"
    assert found["nodes"] == 1
    for name in ("missing", "missingStream"):
        assert (found[name]["code"], found[name]["reason"]) == ("NotFound", "WORKFLOW_NOT_FOUND"), name
    assert (found["agent"]["code"], found["agent"]["reason"]) == ("NotFound", "AGENT_NOT_FOUND")
    assert (found["noToken"]["code"], found["noToken"]["reason"]) == ("Unauthenticated", "BAD_TOKEN")
    assert (found["wrong"]["code"], found["wrong"]["reason"]) == ("InvalidArgument", "INVALID_FIELD")


def main() -> None:
    with mesh_alone(APP) as host:
        (node,) = host.up(host.node(NERVENET_HTTP="127.0.0.1:0", NERVENET_TOKEN=TOKEN))
        image = host.folder / "contract.binpb"
        image.write_bytes(descriptors())
        for form in ("json", "binary"):
            check(told(f"http://{node.http}", image, form))
            print(f"connect-es, {form}: answers, streams and errors are right")
        assert "Traceback" not in node.log


if __name__ == "__main__":
    main()
