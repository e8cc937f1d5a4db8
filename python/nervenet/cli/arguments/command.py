# SPDX-License-Identifier: Apache-2.0
"""What a command of the command line is, and the flags that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Command", "Parser", "app", "insecure", "keep_waiting", "nothing", "which", "workflow"]

Parser = argparse.ArgumentParser


class Command(NamedTuple):
    """A line of the help page. `name` may be two words; `runs` is a `module:function` in `nervenet.cli.commands`."""

    group: str
    name: str
    says: str
    runs: str
    flags: Callable[[Parser], None]


def app(parser: Parser, *, needed: bool = True) -> None:
    """The app, and the file that tells that it serves."""
    more = "" if needed else "; without it: stored definitions only"
    parser.add_argument(
        "app",
        metavar="APP",
        nargs=None if needed else "?",
        help=f"hello.py or pkg.module, with :NAME if it has several meshes{more}",
    )
    parser.add_argument("--ready-file", metavar="F", help="write the addresses to F, as JSON, once it serves")


def insecure(parser: Parser) -> None:
    """`--insecure`, for processes that listen."""
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="listen to others without TLS or without knowing who calls (a closed network)",
    )


def keep_waiting(parser: Parser) -> None:
    """`--keep-waiting`, for who waits for a workflow."""
    parser.add_argument(
        "--keep-waiting", action="store_true", help="keep waiting while it is BLOCKED; without it exit code 8"
    )


def which(parser: Parser) -> None:
    """The filters of workflows."""
    parser.add_argument(
        "--state", action="append", default=[], metavar="S,…", help="running, waiting, blocked, failed, …"
    )
    parser.add_argument("--definition", metavar="NAME", help="only runs of this definition")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="only those with this label; may be repeated"
    )
    parser.add_argument("--since", metavar="TIME", help="started after: 2h, 7d, 2026-05-01T09:12Z")
    parser.add_argument(
        "--stuck",
        nargs="?",
        const="",
        metavar="SPAN",
        help="only what goes on only if somebody does something: blocked, without an agent (for 1m), without a sign of life (10m)",
    )
    parser.add_argument("--retrying", action="store_true", help="only those with a step that failed and is tried again")
    parser.add_argument(
        "--slow", nargs="?", const="", metavar="SPAN", help="only those older than SPAN (than 95 %% of their kind took)"
    )
    parser.add_argument("--waiting-for", metavar="TEXT", help="only those that wait for something with this text")


def workflow(parser: Parser) -> None:
    """The id of one workflow."""
    parser.add_argument("id", metavar="ID", help="the workflow's id")


def nothing(parser: Parser) -> None:
    """No flags of its own."""
