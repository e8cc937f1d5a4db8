# SPDX-License-Identifier: Apache-2.0
"""What an app contains, found out in a separate process: `python -m nervenet.dev.describe hello.py` prints JSON.

The supervisor must never import the app itself, because it could not undo that on a reload. Code that cannot be imported is
found here, while the processes with the previous code still run.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, NamedTuple

from nervenet.dev.servers import tied
from nervenet.errors import NervenetError


class AppDescription(NamedTuple):
    """What the banner says about a mesh. `example` is a command line that starts its first workflow, if there is
    one."""

    mesh: str
    workflows: list[str]
    agents: list[str]
    example: str


class CannotLoad(NervenetError):
    """The app cannot be imported, or has no mesh. The message says where and why."""


async def describe(app: str) -> AppDescription:
    """Import the app in a new process. Raises CannotLoad."""
    command = tied([sys.executable, "-P", "-m", "nervenet.dev.describe", app])
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise CannotLoad(err.decode(errors="replace").strip() or f"{app} cannot be loaded")
    return AppDescription(*json.loads(out.decode().rpartition("\n")[2]))  # an app may print what it likes before


def _main(app: str) -> int:
    from nervenet.mesh import LoadError
    from nervenet.mesh_loader import load_mesh

    try:
        mesh = load_mesh(app)
    except LoadError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    workflows = [f"{name} v{version}" for name, version in mesh.workflows]
    agents = [agent.name for agent in mesh.agents.values() if agent.fn is not None]
    example = next((_example(flow.name, flow.takes_input, flow.input) for flow in mesh.workflows.values()), "")
    sys.stdout.write("\n" + json.dumps(AppDescription(mesh.name, workflows, agents, example)))
    return 0


def _example(name: str, takes_input: bool, codec: Any) -> str:
    if not takes_input:
        return f"nervenet start {name} --wait"
    schema = json.loads(codec.schema())
    value = json.dumps(_sample(schema, schema.get("$defs", {}), depth=0), ensure_ascii=False)
    quoted = value.replace("'", "'\\''")
    return f"nervenet start {name} '{quoted}' --wait"


def _sample(schema: Any, definitions: dict[str, Any], depth: int) -> Any:
    """A small value that fits a JSON Schema, as far as one can guess."""
    if not isinstance(schema, dict) or depth > 6:
        return None
    for word in ("examples", "enum"):
        if schema.get(word):
            return schema[word][0]
    if "default" in schema or "const" in schema:
        return schema.get("const", schema.get("default"))
    if reference := schema.get("$ref"):
        return _sample(definitions.get(reference.rpartition("/")[2]), definitions, depth + 1)
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return _sample(schema[word][0], definitions, depth + 1)
    if schema.get("type") == "object":
        needed = schema.get("required", ())
        fields = {key: value for key, value in schema.get("properties", {}).items() if key in needed}
        return {key: _sample(value, definitions, depth + 1) for key, value in fields.items()}
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return ["Ada", "Grace"] if items.get("type") == "string" else [_sample(items, definitions, depth + 1)]
    return {"string": "Ada", "integer": 1, "number": 1.5, "boolean": True}.get(str(schema.get("type")))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
