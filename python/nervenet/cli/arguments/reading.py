# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `look`: what reads workflows."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser, keep_waiting, which, workflow
from nervenet.cli.usage import whole

__all__ = ["COMMANDS"]


def _list(parser: Parser) -> None:
    which(parser)
    parser.add_argument("--limit", type=whole(1), default=50, metavar="N", help="at most N (50)")
    parser.add_argument("--next", metavar="TOKEN", help="continue after the last page")
    parser.add_argument("--archived", action="store_true", help="what is in the archive, the last closed first")
    parser.add_argument("--closed-since", metavar="TIME", help="closed after: 2h, 7d, 2026-05-01T09:12Z")
    parser.add_argument("--closed-until", metavar="TIME", help="closed before")


def _top(parser: Parser) -> None:
    parser.add_argument("--once", action="store_true", help="print one frame and end; so it is where nobody watches")
    parser.add_argument(
        "--sort", choices=("urgency", "age", "name"), default="urgency", help="the order of workflows (urgency)"
    )
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="only workflows with this text in id, definition or waits"
    )
    parser.add_argument("--every", metavar="SPAN", default="2s", help="time between two frames (2s)")


def _show(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="the workflow's id")
    parser.add_argument("--failed", action="store_true", help="only steps that failed, each with the lines of code")
    parser.add_argument(
        "--slowest", nargs="?", type=whole(1), const=10, metavar="N", help="only the N steps that took longest (10)"
    )
    parser.add_argument("--all", action="store_true", help="every step on a line of its own")
    parser.add_argument(
        "--input",
        nargs="?",
        const="",
        metavar="STEP",
        help="also its input; that of STEP; with --failed those of the steps",
    )
    parser.add_argument("--result", action="store_true", help="also its whole result, and those of its steps")
    parser.add_argument("--journal", action="store_true", help="also its journal")


def _watch(parser: Parser) -> None:
    workflow(parser)
    parser.add_argument("--partials", action="store_true", help="also what handlers emit")


def _result(parser: Parser) -> None:
    workflow(parser)
    parser.add_argument("--timeout", metavar="SPAN", help="longest wait: 30s, 5m; after that exit code 7")
    keep_waiting(parser)


COMMANDS = (
    Command("look", "list", "list workflows, newest first", "listing:run", _list),
    Command("look", "top", "follow the whole mesh: what is stuck, who is busy, what waits", "top:run", _top),
    Command("look", "show", "show one workflow with its steps", "show:run", _show),
    Command("look", "watch", "follow a workflow until it ends", "watch:run", _watch),
    Command("look", "result", "wait for a workflow and print its result", "result:run", _result),
)
