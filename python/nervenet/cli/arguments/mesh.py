# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `mesh`: agents, nodes, definitions, and the state of the mesh."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser, nothing
from nervenet.cli.usage import whole

__all__ = ["COMMANDS"]


def _doctor(parser: Parser) -> None:
    parser.add_argument(
        "--stuck",
        metavar="SPAN",
        default="",
        help="report tasks without an agent or a sign of life for SPAN (1m without an agent, 10m without a sign of life)",
    )


def _agents(parser: Parser) -> None:
    parser.add_argument("--capability", metavar="NAME", help="only agents that serve this capability")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="only those with this label; may be repeated"
    )


def _one_agent(parser: Parser) -> None:
    parser.add_argument("id", metavar="A", help="the agent's id")


def _one_node(parser: Parser) -> None:
    parser.add_argument("id", metavar="NODE", help="the node's id")


def _drain(parser: Parser) -> None:
    _one_agent(parser)
    parser.add_argument("--grace", metavar="SPAN", help="how long running tasks may continue (the agent's setting)")


def _definitions(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only this definition, with all its versions")


def _definition(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the definition's name")
    parser.add_argument("--version", type=whole(1), default=0, metavar="N", help="the version to show (the highest)")


def _put(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="YAML or JSON")
    parser.add_argument("--check", action="store_true", help="report what is wrong, store nothing")


COMMANDS = (
    Command("mesh", "agents list", "list live agents and queues", "agents:run_list", _agents),
    Command("mesh", "agents describe", "show one agent with its capabilities", "agents:run_describe", _one_agent),
    Command("mesh", "agents tasks", "list what an agent runs now", "agents:run_tasks", _one_agent),
    Command("mesh", "agents drain", "let an agent finish its tasks and take no new ones", "agents:run_drain", _drain),
    Command("mesh", "agents resume", "let a drained agent take tasks again", "agents:run_resume", _one_agent),
    Command("mesh", "nodes list", "list live nodes", "nodes:run_list", nothing),
    Command("mesh", "definitions list", "list workflows that are stored as data", "definitions:run_list", _definitions),
    Command("mesh", "definitions show", "show a stored workflow, as YAML", "definitions:run_show", _definition),
    Command("mesh", "definitions put", "store a version of a workflow", "definitions:run_put", _put),
    Command(
        "mesh", "nodes drain", "move its workflows to other nodes before you stop it", "nodes:run_drain", _one_node
    ),
    Command("mesh", "doctor", "examine the mesh, Redis and etcd, and say what to do", "doctor:run", _doctor),
)
