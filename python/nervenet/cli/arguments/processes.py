# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `run`: the processes of a mesh."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser, app, insecure
from nervenet.cli.usage import whole

__all__ = ["COMMANDS"]


def _dev(parser: Parser) -> None:
    app(parser)
    parser.add_argument(
        "--port", type=whole(0, 65535), default=7700, metavar="N", help="gRPC port of the first node; 0 = any (7700)"
    )
    parser.add_argument("--data", metavar="DIR", help="where the embedded servers keep their data (.nervenet)")
    parser.add_argument("--nodes", type=whole(1), default=1, metavar="N", help="number of nodes (1)")
    parser.add_argument("--no-reload", action="store_true", help="do not restart when a file of the app changes")


def _node(parser: Parser) -> None:
    app(parser, needed=False)
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen (127.0.0.1:7700)")
    parser.add_argument("--http", metavar="HOST:PORT", help="where to serve HTTP (nowhere)")
    _processes(parser)
    insecure(parser)


def _processes(parser: Parser) -> None:
    parser.add_argument(
        "--processes",
        type=whole(1, 256),
        default=1,
        metavar="N",
        help="run N of them under one supervisor, to use more cores; SIGHUP replaces them one by one (1)",
    )


def _agent(parser: Parser) -> None:
    app(parser)
    parser.add_argument("--only", action="append", default=[], metavar="CAP,…", help="serve only these capabilities")
    parser.add_argument("--name", help="name of the process, first part of its id (the mesh's name)")
    parser.add_argument(
        "--slots", type=whole(1), metavar="N", help="tasks that it runs at the same time, over all capabilities"
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="where its AgentService listens (127.0.0.1:0)")
    _processes(parser)
    insecure(parser)


COMMANDS = (
    Command("run", "dev", "the whole mesh on this machine, for development", "dev:run", _dev),
    Command("run", "node", "a node: hosts workflows, serves gRPC", "node:run", _node),
    Command("run", "agent", "an agent: runs the tasks of its capabilities", "agent:run", _agent),
)
