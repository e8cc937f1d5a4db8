# SPDX-License-Identifier: Apache-2.0
"""One role of a mesh as a process: built from a Config, run, stopped by signals.

    raise SystemExit(run_node(mesh, Config.load(listen="127.0.0.1:0")))

`run_node` and `run_agent` set up logging, telemetry and the event loop (uvloop where it is installed), print a line on stderr
when they serve, and return the exit code after a signal has drained them. A start that fails raises ConfigError, or
Unavailable for servers that do not answer. To start quickly, a node imports no agent runtime, and an agent no node.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervenet import telemetry
from nervenet.errors import ConfigError
from nervenet.heap import collect_seldom, return_free_memory
from nervenet.imports import refuse_here
from nervenet.process import logs
from nervenet.process.exporting import exporting
from nervenet.process.signals import ShutdownSignals, run
from nervenet.process.words import in_words
from nervenet.security import check_exposure

if TYPE_CHECKING:
    from nervenet.config import Config
    from nervenet.definitions import Agent, MeshDefinitions

__all__ = ["run_agent", "run_mesh", "run_node"]


def run_node(
    mesh: MeshDefinitions, config: Config, *, ready_file: Path | str | None = None, quiet: bool = False
) -> int:
    """Serve as a node until SIGTERM or SIGINT, move the workflows to other nodes, and return the exit code."""
    check_exposure(config, "node", "listen", config.listen_for("node"))  # before anything is connected
    if config.http is not None:
        check_exposure(config, "node", "http", config.http)

    if len(config.served_namespaces) > 1:
        return _run_several(mesh, config, ready_file, quiet)
    config = config.for_namespace(config.served_namespaces[0])

    async def node(stop: ShutdownSignals) -> None:
        from nervenet.node.guards.crash_line import last_line
        from nervenet.node.node import Node
        from nervenet.node.services import serve

        async with (
            exporting(config, mesh.name) as exports,
            Node.open(
                mesh.workflows, config, serve=serve, last_line=last_line, metrics=exports.registry("node")
            ) as node,
        ):
            facts = {
                "role": "node",
                "id": node.node_id,
                "address": node.address,
                "http": node.http,
                "scaler": node.scaler,
                "metrics": exports.address,
                "pid": os.getpid(),
                "mesh": mesh.name,
            }
            line = f"node {node.node_id} of mesh {mesh.name} serves at {node.address}"
            http = f", HTTP at {node.http}" if node.http else ""
            scaler = f", KEDA's scaler at {node.scaler}" if node.scaler else ""
            with _announced(_numbered(line + http + scaler, config), facts, ready_file, quiet):
                await stop.asked(node.drain, config.drain_ms / 1000)

    return _run(node, mesh, config, "node", quiet)


def _run_several(mesh: MeshDefinitions, config: Config, ready_file: Path | str | None, quiet: bool) -> int:
    """`run_node` for several namespaces."""

    async def nodes(stop: ShutdownSignals) -> None:
        from nervenet.process.tenants import Tenants

        async with exporting(config, mesh.name) as exports, Tenants.open(mesh, config, exports) as tenants:
            ids = tenants.ids
            facts = {
                "role": "node",
                "id": next(iter(ids.values()), ""),
                "ids": ids,
                "address": tenants.address,
                "http": tenants.http,
                "scaler": tenants.scaler,
                "metrics": exports.address,
                "pid": os.getpid(),
                "mesh": mesh.name,
            }
            http = f", HTTP at {tenants.http}" if tenants.http else ""
            http += f", KEDA's scaler at {tenants.scaler}" if tenants.scaler else ""
            named = ", ".join(f"{namespace} ({node_id})" for namespace, node_id in ids.items())
            line = f"node of mesh {mesh.name} serves namespaces {named} at {tenants.address}{http}"
            with _announced(_numbered(line, config), facts, ready_file, quiet):
                await stop.asked(tenants.drain, config.drain_ms / 1000)

    return _run(nodes, mesh, config, "node", quiet)


def run_agent(
    mesh: MeshDefinitions,
    config: Config,
    *,
    only: Collection[str] = (),
    name: str | None = None,
    slots: int | None = None,
    ready_file: Path | str | None = None,
    quiet: bool = False,
) -> int:
    """Run tasks of the mesh's agents (or of those in `only`) until SIGTERM or SIGINT, drain, and return the exit
    code."""
    check_exposure(config, "agent", "listen", config.listen_for("agent"))  # before anything is connected

    async def agent(stop: ShutdownSignals) -> None:
        from nervenet.agent.runtime import AgentRuntime, chosen

        agents = chosen(mesh, only)
        async with (
            exporting(config, mesh.name) as exports,
            AgentRuntime.open(
                agents, config, name=name or mesh.name, slots=slots, metrics=exports.registry("agent")
            ) as agent,
        ):
            facts = {
                "role": "agent",
                "id": agent.agent_id,
                "address": agent.address,
                "metrics": exports.address,
                "pid": os.getpid(),
                "mesh": mesh.name,
            }
            serves = ", ".join(agent.capabilities)
            line = f"agent {agent.agent_id} takes {serves} at {agent.address}"
            with _announced(_numbered(line, config), facts, ready_file, quiet):
                await stop.asked(broken=agent.stopped())  # leaving the context drains

    return _run(agent, mesh, config, "agent", quiet)


def run_mesh(mesh: MeshDefinitions, config: Config, *, node: bool, agents: bool | Collection[Agent[Any, Any]]) -> int:
    """Run both roles in this process until SIGTERM or SIGINT, drain, and return the exit code."""

    async def both(stop: ShutdownSignals) -> None:
        from nervenet.process.together import together

        async with together(mesh, config, node=node, agents=agents) as here:
            facts = {"role": "mesh", "address": here.config.address, "pid": os.getpid(), "mesh": mesh.name}
            takes = f", takes {', '.join(here.agent.capabilities)}" if here.agent else ""
            http = f", HTTP at {here.node.http}" if here.node is not None and here.node.http else ""
            with _announced(f"mesh {mesh.name} serves at {here.config.address}{http}{takes}", facts, None, quiet=False):
                await stop.asked(broken=here.agent.stopped() if here.agent else None)  # leaving drains

    return _run(both, mesh, config, "node" if node else "agent", quiet=False)


def _run(main: Callable[[ShutdownSignals], Any], mesh: MeshDefinitions, config: Config, role: str, quiet: bool) -> int:
    refuse_here(f"mesh {mesh.name}")
    collect_seldom()  # until it serves
    logs.set_up(config.log, config.log_level, process_number=config.process)
    if quiet:
        logging.getLogger("nervenet.process").setLevel(logging.WARNING)
    traces = telemetry.start(mesh.name, role)

    async def whole(stop: ShutdownSignals) -> None:
        with in_words("a node" if role == "node" else "an agent"):
            await main(stop)

    try:
        return run(whole)
    finally:
        traces.shutdown()


@contextmanager
def _announced(line: str, facts: dict[str, Any], ready_file: Path | str | None, quiet: bool) -> Iterator[None]:
    """Report that the process serves. The ready file appears whole or not at all, and is removed at the end."""
    _spare_the_collector()
    return_free_memory()  # what only the start needed
    if not quiet:
        sys.stderr.write(f"{line}   pid {os.getpid()}\n")
        sys.stderr.flush()
    if ready_file is None:
        yield
        return
    file = Path(ready_file)
    write_whole(file, json.dumps(facts) + "\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _numbered(line: str, config: Config) -> str:
    return f"process {config.process}: {line}" if config.process else line


def _spare_the_collector() -> None:
    """Keep Python's garbage collector away from objects that stay, and let it run seldom.

    Almost everything is freed without it. At CPython's own pace (700, 10, 10) it took 15 % of the CPU of a busy node, and
    caused pauses.
    """
    gc.collect()
    gc.freeze()
    # the second generation is small too: what it goes through is a pause of milliseconds
    gc.set_threshold(10_000, 1, 500)


def write_whole(file: Path, text: str) -> None:
    """Write a file at once, so that a process that waits for it never reads half of it."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise ConfigError(f"the ready file {file} cannot be written: {error.strerror}") from None
