# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `act`, which act on workflows: starts, signals, cancels, repairs."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser, keep_waiting, which, workflow
from nervenet.cli.usage import whole

__all__ = ["COMMANDS"]


def _start(parser: Parser) -> None:
    parser.add_argument("definition", metavar="NAME", nargs="?", help="the workflow's name; not with -f")
    parser.add_argument("input", metavar="INPUT", nargs="?", help="JSON, @file or - for standard input")
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="store the workflow in this YAML or JSON file, and start it"
    )
    parser.add_argument("--id", metavar="ID", help="the workflow's id; the same id and input start it once")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="a label to find it by; may be repeated"
    )
    parser.add_argument(
        "--version", type=whole(1), default=0, metavar="N", help="version of the definition (the highest live one)"
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end and print the result")
    parser.add_argument("--timeout", metavar="SPAN", help="longest wait of --wait: 30s, 5m; after that exit code 7")
    keep_waiting(parser)


def _call(parser: Parser) -> None:
    parser.add_argument("capability", metavar="CAP", help="name of the agent")
    parser.add_argument("input", metavar="INPUT", nargs="?", help="JSON, @file or - for standard input")
    parser.add_argument("--request-id", metavar="ID", help="the same id and input run it once")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="a label to find it by; may be repeated"
    )
    parser.add_argument("--timeout", metavar="SPAN", help="longest wait: 30s, 5m; after that exit code 7")


def _signal(parser: Parser) -> None:
    workflow(parser)
    parser.add_argument("signal", metavar="NAME", help="the signal's name")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="JSON, @file or - for standard input")
    parser.add_argument("--request-id", metavar="ID", help="the same id delivers it once")
    parser.add_argument(
        "--undeclared", action="store_true", help="send it even if the workflow's code does not receive it"
    )


def _cancel(parser: Parser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="the workflow's id; or filters")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the workflow and for people")
    _many(parser)


def _restart(parser: Parser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="the workflow's id; or filters")
    parser.add_argument("--reason", metavar="TEXT", help="why, for people")
    parser.add_argument(
        "--version", type=whole(1), default=0, metavar="N", help="version of the definition (the highest live one)"
    )
    _many(parser)


def _retry(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="the workflow's id; or filters")
    parser.add_argument("step", metavar="STEP", nargs="?", help="a step that asks a human for one more attempt")
    _many(parser)


def _many(parser: Parser) -> None:
    which(parser)
    parser.add_argument(
        "--limit", type=whole(1), default=1000, metavar="N", help="at most N that the filters find (1000)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show which ones, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


COMMANDS = (
    Command("act", "start", "start a workflow", "start:run", _start),
    Command("act", "call", "run one durable task without a workflow", "call:run", _call),
    Command("act", "signal", "send a signal to a workflow", "signal:run", _signal),
    Command("act", "cancel", "cancel workflows", "cancel:run", _cancel),
    Command("act", "retry", "replay a blocked workflow, or grant a step one more attempt", "retry:run", _retry),
    Command("act", "restart", "begin failed or blocked workflows again", "restart:run", _restart),
)
